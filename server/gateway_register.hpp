#pragma once
// The connections of each gateway identity: detects two gateways with one certificate, and bounds the
// connections per identity.

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "server/link.hpp"

namespace cpns::server {

/// [thread-safe]
class gateway_register {
 public:
  static constexpr std::size_t connections_max = 8;                     ///< per identity
  static constexpr seconds report_interval = std::chrono::minutes{10};  ///< between reports of one identity
  using ticket = std::uint64_t;

  /// Adds a connection of the identity. Over the bound the oldest one is closed, so that a gateway can always
  /// reconnect.
  ticket enter(const peer_info& peer, std::weak_ptr<link_port> port);
  void leave(const gateway_id& gw, ticket t);

  /// Notes that requests arrived on the connection. Returns the address of a newer connection that is in use
  /// too (one gateway never returns to an older connection), unless that was reported within report_interval.
  std::optional<std::string> used(time_point now, const gateway_id& gw, ticket t);

 private:
  struct place {
    ticket number = 0;
    std::string address;
    std::weak_ptr<link_port> port;
    bool in_use = false;
  };
  std::mutex guard_;
  ticket next_ = 1;
  std::unordered_map<gateway_id, std::vector<place>> places_;  ///< per identity, the newest last
  std::unordered_map<gateway_id, time_point> reported_;
};

}  // namespace cpns::server
