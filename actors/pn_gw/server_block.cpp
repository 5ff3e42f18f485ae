#include "actors/pn_gw/server_block.hpp"

#include <utility>

#include "actors/pn_gw/actors.hpp"
#include "base/log.hpp"

namespace cpns::actors {
namespace {

constexpr seconds block_log_pause{60};

}  // namespace

bool server_block::follow(const protocol::link_answer& a, time_point now) {
  const auto* no = std::get_if<protocol::refusal>(&a.body);
  if (no == nullptr || no->status != protocol::link_status::gateway_blocked) {
    if (std::exchange(active_, false))
      log::info(gateway_component, "gateway-unblocked", "the server serves this gateway again");
    return active_;
  }
  if (std::exchange(active_, true) && now - logged_at_ < block_log_pause) return active_;
  logged_at_ = now;
  log::error(
      gateway_component, "gateway-blocked",
      "an operator of the server has blocked this gateway: it gets no keys. Devices keep the keys that they "
      "have, and "
      "keys that are here already are still delivered until their date; ask the operator to unblock it (cpns "
      "gateways unblock)",
      {{"reason", no->reason}});
  return active_;
}

}  // namespace cpns::actors
