#pragma once
// Makes a timeline out of the roles' logs: the first PNE's steps as they happen, then how far all of them are,
// then figures.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/demo/log_follower.hpp"

namespace cpns::cli {

/// One line of the picture: a step of the change request, who to whom, what.
struct timeline_line {
  std::int64_t ms = 0;  ///< since the first line
  int step = 0;         ///< 0 to 10
  std::string from_to, what;
};

struct figures {
  std::size_t keyed = 0, failed = 0, updated = 0, woken = 0;
  std::int64_t all_keyed = 0;     ///< milliseconds from the first detection to the last first key
  std::int64_t p50 = 0, p99 = 0;  ///< milliseconds from detection to confirmation of the first key
  std::map<std::string, std::size_t> epochs;  ///< how many PNEs are at which epoch
};

class timeline {
 public:
  using printer = std::function<void(const timeline_line&)>;
  explicit timeline(printer print) : print_(std::move(print)) {}

  void take(const log_event& e);
  /// The logs of three processes are read one after the other, so lines wait until those of the same moment
  /// are there, and are printed in order: call after each reading. `quiet`: nothing more was there to read.
  void release(bool quiet);

  /// The Entity ID whose steps are shown: the first one that answered. Empty before that.
  [[nodiscard]] const std::string& first() const { return first_; }
  [[nodiscard]] bool is_keyed(const std::string& entity) const;
  [[nodiscard]] std::size_t keyed() const { return keyed_; }
  /// Confirmations of `entity` so far.
  [[nodiscard]] std::size_t confirmations(const std::string& entity) const;
  [[nodiscard]] figures sum_up(std::size_t expected) const;
  /// Steps of `first()` are printed from now on as those of this chapter ("periodic update", "wake-up").
  void begin_chapter() { showing_ = true; }

 private:
  struct device {
    std::int64_t detected = 0;
    std::optional<std::int64_t> first_key_ms;
    std::size_t confirmations = 0;
    std::string epoch;
  };
  struct waiting_line {
    timeline_line line;
    std::size_t rank;  ///< place in the order of the exchange
  };
  void show(const log_event& e);

  printer print_;
  std::vector<waiting_line> waiting_;
  std::int64_t newest_ = 0;
  std::map<std::string, device> devices_;
  std::map<std::string, log_event> early_;
  std::string first_;
  std::int64_t start_ = 0;
  std::optional<std::int64_t> last_detecting_;
  std::size_t keyed_ = 0;
  bool showing_ = true;
};

}  // namespace cpns::cli
