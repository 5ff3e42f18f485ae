#pragma once
// The connections of each gateway identity: detects two gateways with one certificate, and bounds the
// connections per identity.

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
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

  /// A connection, for people.
  struct connection_view {
    std::string address;
    time_point since;
    std::uint64_t requests = 0;
    std::string protocol{};  ///< as peer_info::protocol
  };
  /// Of one identity.
  struct traffic_view {
    std::vector<connection_view> connections{};  ///< the newest last
    std::uint64_t requests_per_minute = 0;       ///< over the last minute or two
  };

  /// Adds a connection of the identity. Over the bound the oldest one is closed, so that a gateway can always
  /// reconnect.
  ticket enter(time_point now, const peer_info& peer, std::weak_ptr<link_port> port);
  void leave(const gateway_id& gw, ticket t);
  /// Its connections; none if it is not connected.
  [[nodiscard]] traffic_view traffic(time_point now, const gateway_id& gw) const;
  /// Of all that are connected.
  [[nodiscard]] std::vector<std::pair<gateway_id, traffic_view>> all(time_point now) const;
  /// Number of identities that are connected.
  [[nodiscard]] std::size_t connected() const;
  [[nodiscard]] bool connected(const gateway_id& gw) const;
  /// Closes the connections of one identity; `why` is logged. Returns their number.
  std::size_t close(const gateway_id& gw, const std::string& why);

  /// Notes that `requests` arrived on the connection. Returns the address of a newer connection that is in use
  /// too (one gateway never returns to an older connection), unless that was reported within report_interval.
  std::optional<std::string> used(time_point now, const gateway_id& gw, ticket t, std::size_t requests = 1);

 private:
  struct place {
    ticket number = 0;
    std::string address;
    std::weak_ptr<link_port> port;
    time_point since;
    std::uint64_t requests = 0;
    bool in_use = false;
    std::string protocol{};
  };
  /// Requests in this minute and in the one before.
  struct meter {
    std::int64_t minute = 0;
    std::uint64_t current = 0, before = 0;
    void advance(time_point now);
    void add(time_point now, std::uint64_t requests);
    /// The share of the minute before that is within the last 60 s, and this minute.
    [[nodiscard]] std::uint64_t rate(time_point now) const;
  };
  struct identity;
  static traffic_view view_of(time_point now, const identity& i);
  struct identity {
    std::vector<place> places;  ///< the newest last
    meter requests;
  };
  mutable std::mutex guard_;
  ticket next_ = 1;
  std::unordered_map<gateway_id, identity> identities_;  ///< those that are connected
  std::unordered_map<gateway_id, time_point> reported_;
};

}  // namespace cpns::server
