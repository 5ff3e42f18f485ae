#pragma once
// Which connections each gateway identity has: finds two gateways that use one certificate, and bounds the
// connections of one identity.

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
  static constexpr std::size_t connections_max = 8;                ///< of one identity
  static constexpr seconds said_again = std::chrono::minutes{10};  ///< how often the log says it of one
  using ticket = std::uint64_t;

  /// A connection of the identity begins. Over the bound its oldest one is closed: a gateway that comes back
  /// is let in, whatever it left behind.
  ticket enter(const peer_info& peer, std::weak_ptr<link_port> port);
  void leave(const gateway_id& gw, ticket t);

  /// Requests came on the connection. The address of another one, if both are in use in turn and that was not
  /// said lately: one gateway never goes back to the connection that it left.
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
  std::unordered_map<gateway_id, std::vector<place>> places_;  ///< of one identity, the newest one last
  std::unordered_map<gateway_id, time_point> said_;
};

}  // namespace cpns::server
