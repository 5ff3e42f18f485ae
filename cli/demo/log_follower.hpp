#pragma once
// Reads the roles' JSON logs as they grow, so that the demo shows what an operator would see, and nothing
// else.

#include <cstdint>
#include <map>
#include <string>
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

/// The newest error of a role's log, or its last line that is not JSON (a role that could not begin). Empty
/// if the file holds neither.
std::string last_words(const std::string& file);

/// Follows several files. Not thread-safe.
class log_follower {
 public:
  explicit log_follower(std::vector<std::string> files);
  /// What was written since the last call, in the order of time. Lines that are not JSON are kept in
  /// `unmatched`.
  std::vector<log_event> poll();
  [[nodiscard]] const std::vector<std::string>& unmatched() const { return unmatched_; }

 private:
  struct source {
    std::string file;
    std::uint64_t offset = 0;
    std::string partial;
  };
  void read(source& s, std::vector<log_event>& out);
  std::vector<source> sources_;
  std::vector<std::string> unmatched_;
};

}  // namespace cpns::cli
