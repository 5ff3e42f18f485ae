#pragma once
// Log lines about the readers of application keys.

#include <map>
#include <mutex>
#include <string>

#include "api/access.hpp"
#include "api/http.hpp"
#include "base/seldom.hpp"

namespace cpns::actors {

/// The log must say who reads keys, but a program that reads them all day must not fill it: one line per reader, purpose and
/// event is written at once, and the next one after ten minutes; the others are lines of the level debug. Keys are in none.
/// [thread-safe]
class key_log {
 public:
  explicit key_log(std::string component) : component_(std::move(component)) {}
  /// `what`: "an Entity ID", "all devices". A HEAD gets no key, so it has no line.
  void read(const api::request& r, const std::string& purpose, const std::string& what);
  void refused(const api::peer& who, const std::string& purpose, const std::string& why);

 private:
  [[nodiscard]] bool due(const api::peer& who, const std::string& event, const std::string& purpose);

  const std::string component_;
  std::mutex guard_;
  std::map<std::string, seldom> said_;  ///< by user, event and purpose
};

}  // namespace cpns::actors
