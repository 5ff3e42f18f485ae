#pragma once
// server_link: requests and reports of all devices to the CPNS Server (steps 4 and 8), over the current
// connection.

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>

#include "actors/pn_gw/actors.hpp"
#include "actors/pn_gw/gateway_metrics.hpp"
#include "actors/pn_gw/key_store.hpp"
#include "actors/pn_gw/password_change.hpp"
#include "actors/pn_gw/uplink.hpp"

namespace cpns::actors {

/// The issuer nonce of the last answer. [thread-safe]
class nonce_cache {
 public:
  void put(const protocol::nonce16& nonce, time_point now) {
    std::lock_guard lock{guard_};
    nonce_ = nonce;
    at_ = now;
  }
  /// nullopt if it is older than 50 s: the server accepts nonces of the last two minutes.
  [[nodiscard]] std::optional<protocol::nonce16> fresh(time_point now) const {
    std::lock_guard lock{guard_};
    return nonce_ && now - at_ <= seconds{50} ? nonce_ : std::nullopt;
  }

 private:
  mutable std::mutex guard_;
  std::optional<protocol::nonce16> nonce_;
  time_point at_{};
};

struct server_link_parts {
  user_id user;
  std::filesystem::path password_file;   ///< read to enrol and when it changes; may be empty
  milliseconds request_timeout{10'000};  ///< the connection is given up after twice this without a frame
  milliseconds node_timeout{1500};       ///< as of node_follower
  std::size_t requests_max = 128;        ///< in flight; further ones wait
  std::uint64_t incarnation = 0;         ///< the latest one in the store
  clock_fn clock;
  clock_fn wall;               ///< for dates that people see; empty: `clock`
  key_store* store = nullptr;  ///< outlives the actor
  std::shared_ptr<nonce_cache> nonces;
  std::shared_ptr<node_list> servers;  ///< of the uplink
  /// [thread-safe] As the members of uplink with these names.
  std::function<void(connection_number, bytes)> send;
  std::function<void(connection_number, std::string why)> give_up;
  std::function<void(connection_number, std::size_t)> taken;
  std::function<void(connection_number)> leave;
  server_link_metrics counted{};
  password_record record{};
};

server_link_actor spawn_server_link(caf::actor_system& system, server_link_parts parts);

/// Turns callbacks of the uplink into messages. [thread-safe]
class uplink_to_actor final : public uplink_listener {
 public:
  explicit uplink_to_actor(server_link_actor to) : to_(std::move(to)) {}
  void up(connection_number connection, secret32 exporter, uplink_peer peer) override {
    caf::anon_send(to_, link_up{connection, std::make_shared<const secret32>(std::move(exporter)),
                                std::move(peer.server), std::move(peer.certificate), peer.may_ask});
  }
  void down(connection_number connection, uplink_end end) override {
    caf::anon_send(to_, link_down{connection, std::move(end.why), end.planned, end.moving});
  }
  void frames(connection_number connection, std::vector<secret_bytes> batch) override {
    caf::anon_send(
        to_, link_frames{connection, std::make_shared<const std::vector<secret_bytes>>(std::move(batch))});
  }

 private:
  server_link_actor to_;
};

}  // namespace cpns::actors
