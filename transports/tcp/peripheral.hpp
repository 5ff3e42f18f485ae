#pragma once
// The PNEs' side: keeps one connection per endpoint to a configured gateway, or to one found by its beacon.

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>

#include "transports/tcp/beacon.hpp"
#include "transports/tcp/hub.hpp"

namespace cpns::tcp {

class peripheral final : public hub {
 public:
  /// Throws sdk::unavailable if the beacon port cannot be used, and sdk::bad_parameter as hub does. A probe does not
  /// listen for beacons.
  peripheral(sdk::host out, settings s, bool probe);
  /// [any-thread] False if the endpoint exists already.
  bool add(std::uint64_t endpoint);
  /// [any-thread]
  void remove(std::uint64_t endpoint);

 private:
  using clock = std::chrono::steady_clock;
  struct known_gateway {
    host_port at;
    clock::time_point heard;  ///< last beacon; never for a configured gateway
  };
  struct attempt {
    attempt(asio::io_context& io, bool kept) : counted(kept), socket(io) {}
    counted_connection counted;
    stream socket;
  };
  struct presence {
    std::shared_ptr<connection> link;
    std::shared_ptr<attempt> dialling;
    asio::ip::tcp::endpoint at;  ///< gateway of `link` or `dialling`
    std::unique_ptr<timer>
        pause;  ///< until the next attempt, or the timeout of the current one; null with a link
    unsigned failures = 0;
    bool in_line = false;
    clock::time_point up_since;
    std::size_t next_gateway = 0;
  };
  void heard(const asio::ip::tcp::endpoint& from);
  void probe_links_to(const asio::ip::tcp::endpoint& gateway);
  std::optional<asio::ip::tcp::endpoint> next_address(presence& p);
  void dial(std::uint64_t endpoint);
  /// Dials for the first endpoints in line.
  void dial_next();
  /// Dials for all endpoints without a link, when a name was resolved.
  void dial_all();
  void connected(std::uint64_t endpoint);
  void retry_later(std::uint64_t endpoint);
  timer& pause_of(presence& p, std::chrono::milliseconds length);
  /// False if the limit of links is reached; logs that once.
  bool has_room();
  void hello_in(connection&, std::span<const std::uint8_t>) override {}
  void gone(const connection& c) override;
  void stranger_gone(const connection&) override {}
  void shut() override;

  name_book names_;
  std::unique_ptr<beacon_listener> beacons_;
  std::vector<known_gateway> gateways_;  ///< configured ones first, then those heard, the newest last
  std::map<std::uint64_t, presence> presences_;
  std::size_t dialling_ = 0;  ///< pending attempts
  std::deque<std::uint64_t>
      line_;  ///< endpoints that wait until fewer attempts are pending; some may be gone
  bool files_reported_ = false;
  std::mt19937 dice_{std::random_device{}()};
  std::mutex endpoints_guard_;
  std::set<std::uint64_t> endpoints_;
};

}  // namespace cpns::tcp
