#include "actors/application_keys/key_log.hpp"

#include "base/clock.hpp"
#include "base/log.hpp"

namespace cpns::actors {
namespace {

constexpr std::size_t remembered_max = 1024;

}  // namespace

bool key_log::due(const api::peer& who, const std::string& event, const std::string& purpose) {
  const auto key = std::to_string(who.process.uid) + " " + event + " " + purpose;
  const std::lock_guard lock{guard_};
  if (said_.size() >= remembered_max && !said_.contains(key)) said_.clear();
  return said_[key].due(now_anchored(), event);
}

void key_log::read(const api::request& r, const std::string& purpose, const std::string& what) {
  if (r.head) return;
  const auto& who = r.from;
  const auto level = due(who, "keys-read", purpose) ? log::level::info : log::level::debug;
  log::write(level, component_, "keys-read", "a program reads application keys",
             {{"peer", who.text()}, {"purpose", purpose}, {"entity", what}});
}

void key_log::refused(const api::peer& who, const std::string& purpose, const std::string& why) {
  if (due(who, "keys-refused", purpose))
    log::warn(component_, "keys-refused", why, {{"peer", who.text()}, {"purpose", purpose}});
}

}  // namespace cpns::actors
