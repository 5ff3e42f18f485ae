#pragma once
// The environment of a running test: the plugin, a random generator, and the list of breaches.

#include <atomic>
#include <chrono>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "plugins/abi/transport.h"
#include "plugins/conformance/outcome.hpp"
#include "plugins/conformance/subject.hpp"

namespace cpns::conformance {

/// Thrown to end a test; never through the plugin.
struct test_failed {
  std::string why;
};
struct test_skipped {
  std::string why;
};

/// Never freed: a misbehaving plugin may call back after close(). [thread-safe]
class bench {
 public:
  /// Writes steps and log lines to the descriptor `steps`, so that the parent process knows where a test hangs;
  /// -1: log lines go to stderr.
  bench(subject s, int steps) : on(std::move(s)), dice(on.seed), steps_(steps) {}
  bench(const bench&) = delete;
  bench& operator=(const bench&) = delete;

  const subject on;
  std::mt19937_64 dice;  ///< only for the test's own thread

  /// The plugin's entry, loaded at the first call; throws test_failed.
  const cpns_transport_entry_t& entry();
  /// Notes the test's current step; `what` must be a string literal.
  void step(const char* what);
  void note_breach(std::string_view rule, std::string words);
  /// A log line of the plugin, shown if the test fails.
  void log(cpns_role of, std::uint32_t level, std::string_view line);
  /// The plugin hangs: instances are no longer closed, because that would hang too.
  void abandon() { abandoned_ = true; }
  [[nodiscard]] bool abandoned() const { return abandoned_; }
  /// A flaw that breaks no rule; only the first one is kept.
  void warn(std::string words);
  [[nodiscard]] std::vector<breach> breaches() const;
  [[nodiscard]] std::string warned() const;
  [[nodiscard]] meeting draw(const params& over = {}) const { return draw_meeting(on, over); }

 private:
  void write_line(std::string line);

  const int steps_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  std::atomic<const char*> step_{nullptr};
  std::atomic<bool> abandoned_{false};
  const cpns_transport_entry_t* entry_ = nullptr;
  mutable std::mutex guard_;
  std::vector<breach> breaches_;
  std::string warned_;
};

/// Throws test_failed unless `holds`.
void require(bool holds, const std::string& why);

/// Calls `round(i)` for each i below `n`; stops early, but not before `least` rounds, when `time` is over, because
/// radios may be slow. Returns the number of rounds.
template <class Round>
int repeat(int n, int least, std::chrono::seconds time, Round round) {
  const auto until = std::chrono::steady_clock::now() + time;
  int i = 0;
  while (i < n && (i < least || std::chrono::steady_clock::now() < until)) round(i++);
  return i;
}

/// "CPNS_WOULD_BLOCK", or the number of an unknown status.
std::string name_of(cpns_status s);
std::string name_of(cpns_role r);
/// `text` with its line breaks replaced by spaces.
std::string one_line(std::string text);

}  // namespace cpns::conformance
