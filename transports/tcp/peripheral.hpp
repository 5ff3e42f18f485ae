#pragma once
// The PNEs' side: one connection an endpoint, to the gateways that were heard or configured, again and again.

#include <map>
#include <optional>
#include <random>
#include <set>

#include "transports/tcp/beacon.hpp"

namespace cpns::tcp {

class peripheral final : public hub {
 public:
  /// Throws sdk::unavailable if the beacon port cannot be used. A probe hears nothing.
  peripheral(sdk::host out, settings s, bool probe);
  /// [any-thread] False if there is such an endpoint.
  bool add(std::uint64_t endpoint);
  /// [any-thread]
  void remove(std::uint64_t endpoint);

 private:
  using clock = std::chrono::steady_clock;
  struct known_gateway {
    host_port at;
    clock::time_point heard;  ///< last; never for a configured one
  };
  struct presence {
    std::shared_ptr<connection> link;
    std::shared_ptr<asio::ip::tcp::socket> dialling;
    asio::ip::tcp::endpoint at;                 ///< of either
    std::unique_ptr<asio::steady_timer> pause;  ///< until the next attempt, or for the one under way
    unsigned failures = 0;
    clock::time_point up_since;
    std::size_t next_gateway = 0;
  };
  void heard(const asio::ip::tcp::endpoint& from);
  void probe_links_to(const asio::ip::tcp::endpoint& gateway);
  std::optional<asio::ip::tcp::endpoint> next_address(presence& p);
  void dial(std::uint64_t endpoint);
  /// All that have no link, when a name was found.
  void dial_all();
  void connected(std::uint64_t endpoint);
  void again(std::uint64_t endpoint);
  /// False, and said once, when one more link does not fit.
  bool has_room();
  void shut() override;

  name_book names_;
  std::unique_ptr<beacon_listener> beacons_;
  std::vector<known_gateway> gateways_;  ///< configured ones first, then the newest heard
  std::map<std::uint64_t, presence> presences_;
  std::size_t dialling_ = 0;  ///< attempts under way
  bool files_reported_ = false;
  std::mt19937 dice_{std::random_device{}()};
  std::mutex endpoints_guard_;
  std::set<std::uint64_t> endpoints_;
};

}  // namespace cpns::tcp
