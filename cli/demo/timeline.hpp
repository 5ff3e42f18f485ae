#pragma once
// A timeline from the logs of the roles: the steps of the first PNE as they happen, then the figures of all PNEs.
// It reads the JSON logs as they grow, so the demo shows exactly the events that an operator sees.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cpns::cli {

struct log_event {
  std::int64_t at = 0;  ///< Unix milliseconds
  std::string level, component, event, text;
  std::map<std::string, std::string> fields;

  [[nodiscard]] const std::string& field(const std::string& key) const {
    static const std::string none;
    const auto it = fields.find(key);
    return it == fields.end() ? none : it->second;
  }
};

/// The last error of a role's log, or its last line that is not JSON (of a role that could not start). Empty if
/// there is neither.
std::string last_error(const std::string& file);

/// Follows several files. Not thread-safe.
class log_follower {
 public:
  explicit log_follower(std::vector<std::string> files);
  using line_filter = std::function<bool(std::string_view line)>;
  /// From now on only lines that it accepts are parsed.
  void only(line_filter wanted) { wanted_ = std::move(wanted); }
  /// The events written since the last call, by time. Lines that are not JSON are skipped.
  std::vector<log_event> poll();

 private:
  struct source {
    std::string file;
    std::uint64_t offset = 0;
    std::string partial;
  };
  void read(source& s, std::vector<log_event>& out);
  std::vector<source> sources_;
  line_filter wanted_;
};

/// One line: a step of the change request, its sender and receiver, its text.
struct timeline_line {
  std::int64_t ms = 0;  ///< since the first line
  int step = 0;         ///< 0 to 10
  std::string from_to, what;
};

struct figures {
  std::size_t keyed = 0, failed = 0, updated = 0;
  std::int64_t all_keyed = 0;     ///< milliseconds from the first detection to the last first key
  std::int64_t p50 = 0, p99 = 0;  ///< milliseconds from detection to confirmation of the first key
  std::map<std::string, std::size_t> epochs;  ///< number of PNEs by epoch
};

class timeline {
 public:
  using printer = std::function<void(const timeline_line&)>;
  explicit timeline(printer print) : print_(std::move(print)) {}

  void take(const log_event& e);
  /// Prints waiting lines in order; call after each reading. A line waits until the logs of all roles are read up
  /// to its time. `quiet`: nothing was read, so no line has to wait.
  void release(bool quiet);

  /// The Entity ID whose steps are printed: the first one detected. Empty before that.
  [[nodiscard]] const std::string& first() const { return first_; }
  [[nodiscard]] std::size_t keyed() const { return keyed_; }
  /// PNEs with more than one confirmation.
  [[nodiscard]] std::size_t updated() const { return updated_; }
  /// When the first key of the first PNE was confirmed, in Unix milliseconds; nullopt before.
  [[nodiscard]] std::optional<std::int64_t> first_keyed_at() const { return first_keyed_at_; }
  /// Up to `count` keyed PNEs besides the first one.
  [[nodiscard]] std::vector<std::string> others(std::size_t count) const;
  /// Whether take() needs a line of a log, which is much cheaper to know than to parse it: most lines are steps of the
  /// other PNEs.
  [[nodiscard]] bool needs(std::string_view line) const;
  /// Confirmations of `entity` so far.
  [[nodiscard]] std::size_t confirmations(const std::string& entity) const;
  /// Of all PNEs.
  [[nodiscard]] std::size_t confirmations() const { return confirmed_; }
  /// Of the newest key of `entity` that was confirmed; empty: none.
  [[nodiscard]] std::string epoch(const std::string& entity) const;
  [[nodiscard]] figures sum_up(std::size_t expected) const;

 private:
  struct device {
    std::int64_t detected = 0;
    std::optional<std::int64_t> first_key_ms;
    std::size_t confirmations = 0;
    std::string epoch;
  };
  struct waiting_line {
    timeline_line line;
    std::size_t rank;  ///< place in the exchange, for lines of one millisecond
  };
  void show(const log_event& e);

  printer print_;
  std::vector<waiting_line> waiting_;
  std::int64_t newest_ = 0;
  std::map<std::string, device> devices_;
  std::map<std::string, std::vector<log_event>> early_;  ///< of PNEs, until the first one is detected
  std::string first_;
  std::int64_t start_ = 0;
  std::optional<std::int64_t> last_detecting_;
  std::optional<std::int64_t> first_keyed_at_;
  std::size_t keyed_ = 0, updated_ = 0, confirmed_ = 0;
};

}  // namespace cpns::cli
