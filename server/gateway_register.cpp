#include "server/gateway_register.hpp"

#include <algorithm>

namespace cpns::server {
namespace {

constexpr std::size_t reported_max = 4096;
constexpr std::int64_t minute_seconds = 60;

}  // namespace

void gateway_register::meter::advance(time_point now) {
  const auto m = unix_seconds(now) / minute_seconds;
  if (m == minute) return;
  before = m == minute + 1 ? current : 0;
  current = 0;
  minute = m;
}

void gateway_register::meter::add(time_point now, std::uint64_t requests) {
  advance(now);
  current += requests;
}

std::uint64_t gateway_register::meter::rate(time_point now) const {
  auto m = *this;
  m.advance(now);
  const auto left = static_cast<std::uint64_t>(minute_seconds - unix_seconds(now) % minute_seconds);
  return m.current + m.before * left / minute_seconds;
}

gateway_register::ticket gateway_register::enter(time_point now, const peer_info& peer,
                                                 std::weak_ptr<link_port> port) {
  std::shared_ptr<link_port> oldest;
  ticket mine = 0;
  {
    std::lock_guard lock{guard_};
    auto& all = identities_[peer.gw].places;
    if (all.size() >= connections_max) {
      oldest = all.front().port.lock();
      all.erase(all.begin());
    }
    mine = next_++;
    all.push_back({mine, peer.address, std::move(port), now, 0, false, peer.protocol});
  }
  if (oldest)
    oldest->close(
        "this gateway has " + std::to_string(connections_max) +
        " newer connections: it loses its connections, or several gateways use its certificate or key");
  return mine;
}

void gateway_register::leave(const gateway_id& gw, ticket t) {
  std::lock_guard lock{guard_};
  const auto found = identities_.find(gw);
  if (found == identities_.end()) return;
  std::erase_if(found->second.places, [t](const place& p) { return p.number == t; });
  if (found->second.places.empty()) identities_.erase(found);
}

gateway_register::traffic_view gateway_register::view_of(time_point now, const identity& i) {
  traffic_view out;
  for (const auto& p : i.places) out.connections.push_back({p.address, p.since, p.requests, p.protocol});
  out.requests_per_minute = i.requests.rate(now);
  return out;
}

gateway_register::traffic_view gateway_register::traffic(time_point now, const gateway_id& gw) const {
  std::lock_guard lock{guard_};
  const auto found = identities_.find(gw);
  return found == identities_.end() ? traffic_view{} : view_of(now, found->second);
}

std::vector<std::pair<gateway_id, gateway_register::traffic_view>>
gateway_register::all(time_point now) const {
  std::vector<std::pair<gateway_id, traffic_view>> out;
  std::lock_guard lock{guard_};
  out.reserve(identities_.size());
  for (const auto& [gw, i] : identities_) out.emplace_back(gw, view_of(now, i));
  return out;
}

std::size_t gateway_register::connected() const {
  std::lock_guard lock{guard_};
  return identities_.size();
}

bool gateway_register::connected(const gateway_id& gw) const {
  std::lock_guard lock{guard_};
  return identities_.contains(gw);
}

std::size_t gateway_register::close(const gateway_id& gw, const std::string& why) {
  std::vector<std::shared_ptr<link_port>> ports;
  {
    std::lock_guard lock{guard_};
    const auto found = identities_.find(gw);
    if (found == identities_.end()) return 0;
    for (const auto& p : found->second.places)
      if (auto port = p.port.lock()) ports.push_back(std::move(port));
  }
  for (const auto& port : ports) port->close(why);
  return ports.size();
}

std::optional<std::string> gateway_register::used(time_point now, const gateway_id& gw, ticket t,
                                                  std::size_t requests) {
  std::lock_guard lock{guard_};
  const auto found = identities_.find(gw);
  if (found == identities_.end()) return std::nullopt;
  found->second.requests.add(now, requests);
  auto& all = found->second.places;
  const auto mine = std::find_if(all.begin(), all.end(), [t](const place& p) { return p.number == t; });
  if (mine == all.end()) return std::nullopt;
  mine->in_use = true;
  mine->requests += requests;
  const auto newer = std::find_if(mine + 1, all.end(), [](const place& p) { return p.in_use; });
  if (newer == all.end()) return std::nullopt;
  if (reported_.size() >= reported_max)
    std::erase_if(reported_,
                  [now](const auto& s) { return now >= s.second + report_interval || now < s.second; });
  const auto reported = reported_.find(gw);
  if (reported != reported_.end() && now >= reported->second && now < reported->second + report_interval)
    return std::nullopt;
  if (reported == reported_.end() && reported_.size() >= reported_max) return std::nullopt;
  reported_[gw] = now;
  return newer->address;
}

}  // namespace cpns::server
