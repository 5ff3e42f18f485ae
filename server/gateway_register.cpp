#include "server/gateway_register.hpp"

#include <algorithm>

namespace cpns::server {
namespace {

constexpr std::size_t reported_max = 4096;

}  // namespace

gateway_register::ticket gateway_register::enter(const peer_info& peer, std::weak_ptr<link_port> port) {
  std::shared_ptr<link_port> oldest;
  ticket mine = 0;
  {
    std::lock_guard lock{guard_};
    auto& all = places_[peer.gw];
    if (all.size() >= connections_max) {
      oldest = all.front().port.lock();
      all.erase(all.begin());
    }
    mine = next_++;
    all.push_back({mine, peer.address, std::move(port), false});
  }
  if (oldest)
    oldest->close("this gateway has " + std::to_string(connections_max) +
                  " newer connections: it loses its connections, or several gateways use its certificate");
  return mine;
}

void gateway_register::leave(const gateway_id& gw, ticket t) {
  std::lock_guard lock{guard_};
  const auto found = places_.find(gw);
  if (found == places_.end()) return;
  std::erase_if(found->second, [t](const place& p) { return p.number == t; });
  if (found->second.empty()) places_.erase(found);
}

std::optional<std::string> gateway_register::used(time_point now, const gateway_id& gw, ticket t) {
  std::lock_guard lock{guard_};
  const auto found = places_.find(gw);
  if (found == places_.end()) return std::nullopt;
  auto& all = found->second;
  const auto mine = std::find_if(all.begin(), all.end(), [t](const place& p) { return p.number == t; });
  if (mine == all.end()) return std::nullopt;
  mine->in_use = true;
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
