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
  const auto gateways = read_gateways_again(
      role_, {"a block that was reported as failed turned up in the store, and holds from now on",
              "an unblock that was reported as failed turned up in the store, and holds from now on"});
  if (!gateways) {
    if (!std::exchange(failed_, true)) log::error("server", "blocks-not-read", gateways.error().message());
    return;
  }
  seen_ = now;
  failed_ = false;
}

status read_gateways_again(role_context& role, const gateway_reasons& why) {
  CPNS_TRY(const auto changed, role.known_gateways.reload());
  for (const auto& gw : changed.blocked)
    log::warn("server", "gateway-blocked", std::string{why.blocked}, {{"gw", gw.hex()}});
  for (const auto& gw : changed.served) {
    log::info("server", "gateway-unblocked", std::string{why.served}, {{"gw", gw.hex()}});
    role.gateways.close(gw, "the gateway is unblocked: it connects again and asks for keys at once");
  }
  return {};
}

}  // namespace cpns::server
