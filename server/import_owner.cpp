// What device_imports does about the lease of a shared store.

#include <algorithm>

#include "base/log.hpp"
#include "server/imports.hpp"

namespace cpns::server {

using protocol::import_state;

/// Takes the lease for a change, if no other server has it.
status device_imports::own() {
  if (lease_.held()) return {};
  const std::lock_guard one{owning_};
  if (lease_.held()) return {};
  CPNS_CHECK(lease_.take());
  auto read = load();
  if (!read) lease_.release();
  return read;
}

bool device_imports::any_open() const {
  const std::lock_guard lock{guard_};
  return std::any_of(all_.begin(), all_.end(), [](const auto& one) {
    return one.second->by != use::free || !one.second->view.ended();
  });
}

bool device_imports::any_decided() const {
  const std::lock_guard lock{guard_};
  return std::any_of(all_.begin(), all_.end(), [](const auto& one) {
    return one.second->view.record.state == import_state::importing;
  });
}

void device_imports::follow_lease() {
  std::unique_lock lock{guard_};
  while (!changed_.wait_for(lock, lease_tick_, [this] { return stopping_.load(); })) {
    lock.unlock();
    look_at_lease();
    lock.lock();
  }
}

void device_imports::look_at_lease() {
  const auto done = [this]() -> status {
    CPNS_TRY(const bool changed, lease_.look());
    if (lease_.held()) {
      const std::lock_guard one{changing_};  // a change may have taken it for an import that is not there yet
      if (!any_open()) lease_.release();
      return {};
    }
    if (changed) {
      const std::lock_guard one{owning_};
      CPNS_CHECK(load());
    }
    if (any_decided() && lease_.available()) {
      // Another server may be faster, which is as good.
      auto mine = own();
      if (!mine && !(mine.error() == errc::state_conflict)) return mine;
    }
    return {};
  }();
  if (!done && lease_unread_.due(now_anchored(), done.error().message()))
    log::warn("server", "imports-lease",
              "the imports of other servers are not followed: " + done.error().message());
}

}  // namespace cpns::server
