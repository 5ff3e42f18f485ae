#pragma once
// server_link: what all devices have to say to the CPNS Server, over whichever connection there is (steps 4
// and 8, reports).

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>

#include "actors/pn_gw/actors.hpp"
#include "actors/pn_gw/key_store.hpp"
#include "actors/pn_gw/uplink.hpp"

namespace cpns::actors {

/// The issuer nonce that came with the last answer. [thread-safe]
class nonce_cache {
 public:
  void put(const protocol::nonce16& nonce, time_point now) {
    std::lock_guard lock{guard_};
    nonce_ = nonce;
    at_ = now;
  }
  /// Only if it is at most 50 seconds old: the server accepts the last two minutes.
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
  std::filesystem::path password_file;   ///< read once, when no ClientKey is kept; may be empty then
  milliseconds request_timeout{10'000};  ///< twice this without a frame, and the connection is given up
  std::size_t requests_max = 128;        ///< sent and not answered; the others wait
  std::uint64_t incarnation = 0;         ///< the newest that the store knows
  clock_fn clock;
  key_store* store = nullptr;  ///< outlives the actor
  std::shared_ptr<nonce_cache> nonces;
  /// [thread-safe] As of uplink: one frame for one connection, the end of a connection that is dead, and
  /// bytes that were dealt with.
  std::function<void(connection_number, bytes)> send;
  std::function<void(connection_number, std::string why)> give_up;
  std::function<void(connection_number, std::size_t)> taken;
};

server_link_actor spawn_server_link(caf::actor_system& system, server_link_parts parts);

/// Turns what the uplink tells into messages. [thread-safe]
class uplink_to_actor final : public uplink_listener {
 public:
  explicit uplink_to_actor(server_link_actor to) : to_(std::move(to)) {}
  void up(connection_number connection, secret32 exporter, std::string server) override {
    caf::anon_send(
        to_, link_up{connection, std::make_shared<const secret32>(std::move(exporter)), std::move(server)});
  }
  void down(connection_number connection, uplink_end end) override {
    caf::anon_send(to_, link_down{connection, std::move(end.why), end.planned});
  }
  void frames(connection_number connection, std::vector<secret_bytes> batch) override {
    caf::anon_send(
        to_, link_frames{connection, std::make_shared<const std::vector<secret_bytes>>(std::move(batch))});
  }

 private:
  server_link_actor to_;
};

}  // namespace cpns::actors
