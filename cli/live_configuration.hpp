#pragma once
// The configuration that a running role uses, for GET /v1/config.

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <mutex>
#include <utility>

#include "cli/rewrap_report.hpp"
#include "config/effective.hpp"

namespace cpns::cli {

/// The file may have changed since the start: settings that take a restart stay as they were then, and a rewrap changes
/// the protector without the file. [thread-safe]
template <class Config>
class live_configuration {
 public:
  /// `keys` outlives this object.
  live_configuration(Config c, const storage::key_changer& keys) : running_(std::move(c)), keys_(keys) {}

  /// At SIGHUP.
  void reload(const Config& fresh) {
    const std::lock_guard lock{guard_};
    config::apply_reloadable(running_, fresh);
  }
  [[nodiscard]] boost::json::value json() const {
    const std::lock_guard lock{guard_};
    auto out = config::effective(running_);
    for (const auto& [name, value] : state_of(keys_.current())) out["protector"].as_object()[name] = value;
    return out;
  }

 private:
  mutable std::mutex guard_;
  Config running_;  ///< guarded
  const storage::key_changer& keys_;
};

}  // namespace cpns::cli
