#pragma once
// What a running test has at hand: the plugin, dice, and where broken rules are told.

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

/// Thrown by a test that is over; never through the plugin.
struct test_failed {
  std::string why;
};
struct test_skipped {
  std::string why;
};

/// Lives as long as its process, because a plugin may call back at any time, also too late. [thread-safe]
class bench {
 public:
  /// Steps are written to the descriptor `steps` as lines, so that whoever has to end a test that hangs
  /// knows where; -1: nowhere.
  bench(subject s, int steps) : on(std::move(s)), dice(on.seed), steps_(steps) {}
  bench(const bench&) = delete;
  bench& operator=(const bench&) = delete;

  const subject on;
  std::mt19937_64 dice;  ///< for the thread of the test alone

  /// The plugin's entry, loaded at the first call; throws test_failed.
  const cpns_transport_entry_t& entry();
  /// What the test does now; `what` lives for ever.
  void step(const char* what);
  void note_breach(std::string_view rule, std::string words);
  /// A line of the plugin, for whoever has to find out why a test failed.
  void log(cpns_role of, std::uint32_t level, std::string_view line);
  /// The plugin hangs: from now on nothing is closed, which would only hang too.
  void abandon() { abandoned_ = true; }
  [[nodiscard]] bool abandoned() const { return abandoned_; }
  /// Something that is allowed and not good; the first one counts.
  void warn(std::string words);
  [[nodiscard]] std::vector<breach> breaches() const;
  [[nodiscard]] std::string warned() const;
  [[nodiscard]] meeting draw(const params& over = {}) const { return draw_meeting(on, over); }

 private:
  void tell(std::string line);

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

/// Calls `round(i)` for each i below `n`, or until `time` is over and it did `least`: a slow radio makes
/// fewer. How often it did.
template <class Round>
int repeat(int n, int least, std::chrono::seconds time, Round round) {
  const auto until = std::chrono::steady_clock::now() + time;
  int i = 0;
  while (i < n && (i < least || std::chrono::steady_clock::now() < until)) round(i++);
  return i;
}

/// "CPNS_WOULD_BLOCK", or the number.
std::string name_of(cpns_status s);
std::string name_of(cpns_role r);
/// `text` with spaces for what would end its line.
std::string one_line(std::string text);

}  // namespace cpns::conformance
