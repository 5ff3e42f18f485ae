#include "server/reopened_store.hpp"

#include <utility>

#include "base/log.hpp"

namespace cpns::server {

void reopened_store::look() {
  const auto now = role_.store.health().reopened;
  if (now == seen_) return;
  role_.users.forget_all();
  const auto batches = role_.batches->reload();
  if (!batches) {
    if (!std::exchange(failed_, true)) log::error("server", "batches-not-read", batches.error().message());
    return;
  }
  const auto changed = role_.known_gateways.reload();
  if (!changed) {
    if (!std::exchange(failed_, true)) log::error("server", "blocks-not-read", changed.error().message());
    return;
  }
  seen_ = now;
  failed_ = false;
  for (const auto& gw : changed->blocked)
    log::warn("server", "gateway-blocked",
              "a block that was reported as failed turned up in the store, and holds from now on",
              {{"gw", gw.hex()}});
  for (const auto& gw : changed->served) {
    log::info("server", "gateway-unblocked",
              "an unblock that was reported as failed turned up in the store, and holds from now on",
              {{"gw", gw.hex()}});
    role_.gateways.close(gw, "the gateway is unblocked: it connects again and asks for keys at once");
  }
}

}  // namespace cpns::server
