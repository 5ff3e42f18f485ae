#include "server/node_notices.hpp"

#include <algorithm>
#include <utility>

#include "crypto/tls.hpp"
#include "protocol/node_codec.hpp"

namespace cpns::server {

bool can_be_asked(const peer_info& peer) { return peer.protocol == crypto::tls_alpn_nodes; }

void node_notices::enter(ticket number, const peer_info& peer, std::weak_ptr<link_port> port) {
  if (!can_be_asked(peer)) return;
  const std::lock_guard lock{guard_};
  auto& p = places_[number];
  p.port = std::move(port);
  push_nodes(p);
  push_drain(p);
}

void node_notices::leave(ticket number) {
  const std::lock_guard lock{guard_};
  places_.erase(number);
}

bool node_notices::acknowledged(ticket number, const protocol::node_acknowledgement& a) {
  const std::lock_guard lock{guard_};
  const auto found = places_.find(number);
  if (found == places_.end()) return false;
  auto& p = found->second;
  const bool of_drain = a.type == protocol::node_type::drain_acknowledged;
  auto& l = of_drain ? p.drain : p.nodes;
  if (l.sent != a.id) return false;
  l.sent.reset();
  l.acknowledged = true;
  if (std::exchange(l.newer, false)) of_drain ? push_drain(p) : push_nodes(p);
  return true;
}

void node_notices::set_nodes(std::vector<std::string> addresses) {
  const std::lock_guard lock{guard_};
  // A server that never had a list says nothing; one that lost its list says so.
  if (addresses == addresses_ || (addresses.empty() && !addresses_)) return;
  addresses_ = std::move(addresses);
  for (auto& [number, p] : places_) push_nodes(p);
}

void node_notices::set_drain(std::chrono::steady_clock::time_point until) {
  const std::lock_guard lock{guard_};
  leave_until_ = until;
  for (auto& [number, p] : places_) push_drain(p);
}

node_notices::counts node_notices::of_drain() const {
  const std::lock_guard lock{guard_};
  return {places_.size(),
          static_cast<std::size_t>(std::count_if(places_.begin(), places_.end(), [](const auto& one) {
            return one.second.drain.acknowledged;
          }))};
}

void node_notices::push_drain(place& p) {
  if (!leave_until_) return;
  const auto left = std::chrono::ceil<milliseconds>(*leave_until_ - std::chrono::steady_clock::now());
  const auto within = std::clamp(left, milliseconds{0}, protocol::drain_within_max);
  send(p, p.drain, protocol::drain_order{static_cast<std::uint32_t>(within.count())});
}

void node_notices::push_nodes(place& p) {
  if (addresses_) send(p, p.nodes, protocol::node_list{*addresses_});
}

void node_notices::send(place& p, line& l, decltype(protocol::node_request::body) body) {
  if (l.sent) {
    l.newer = true;
    return;
  }
  const auto port = p.port.lock();
  if (!port) return;
  l.sent = random_.draw_id<request_id>();
  port->notify(protocol::encode(protocol::node_request{*l.sent, incarnation_, std::move(body)}));
}

}  // namespace cpns::server
