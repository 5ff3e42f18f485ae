#pragma once
// A PN GW without radios, for loads. What it does when a server dies or drains is what is measured, so everything from the
// request of a device to the socket is the code of the real gateway: the list of servers, TLS, the probe, repetitions,
// Drain and Nodes. The load takes the place of the device actors.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/pn_gw/server_side.hpp"
#include "bench/gateway_files.hpp"
#include "bench/load_rows.hpp"
#include "storage/memory_store.hpp"
#include "storage/sealed_store.hpp"
#include "tests/support/key_file.hpp"

namespace cpns::bench {

/// What a gateway reports, from threads of its own.
struct gateway_events {
  std::function<void(const actors::gw_response&)> granted;
  std::function<void(const actors::gw_refusal&)> refused;  ///< its device would ask again, with a new request
  std::function<void(int gateway, const std::string& server)> connected;
  actors::server_link_metrics counted;  ///< of all gateways
};

/// Used on one thread.
class radioless_gateway {
 public:
  /// `c`: servers, timers and limits of the gateway. Certificate and user are those of its number, by fill_store.
  static result<std::unique_ptr<radioless_gateway>> start(caf::actor_system& system,
                                                          const std::filesystem::path& home,
                                                          config::gateway_config c, int number,
                                                          std::shared_ptr<const gateway_events> events) {
    c.tls = config::tls_files{.certificate = file_of(home, number, ".pem"),
                              .key = file_of(home, number, ".key"),
                              .ca = home / "tls/ca.pem",
                              .crl = {}};
    CPNS_TRY(auto step0, actors::authentication::open(c));
    std::unique_ptr<radioless_gateway> made{new radioless_gateway{number}};
    CPNS_CHECK(made->open_store());
    made->run(system, c, std::move(step0), std::move(events));
    return made;
  }
  ~radioless_gateway() {
    gate_->shut();
    caf::anon_send(link_, actors::link_shut_down{});
    up_.reset();
    caf::anon_send_exit(devices_, caf::exit_reason::user_shutdown);
  }
  radioless_gateway(const radioless_gateway&) = delete;
  radioless_gateway& operator=(const radioless_gateway&) = delete;

  /// False: it has no issuer nonce for DREQ yet, and asks the server for one.
  bool ready() {
    if (nonces_->fresh(now_anchored())) return true;
    caf::anon_send(link_, actors::link_want_nonce{devices_, entity_id{}});
    return false;
  }
  /// Asks for the first keys of a device that it has just validated.
  void ask(const request_id& id, std::uint64_t device_number) {
    auto h = device(device_number);
    auto shown = h.answer(gw_, nonces_->fresh(now_anchored()));
    auto body = make_request(user_, h, protocol::assignment_reason::first, shown);
    caf::anon_send(
        link_, actors::link_ask{devices_, id,
                                std::make_shared<const protocol::key_assignment_request>(std::move(body))});
  }

 private:
  class listener final : public actors::uplink_listener {
   public:
    listener(actors::server_link_actor to, int number, std::shared_ptr<const gateway_events> events)
        : to_(std::move(to)), number_(number), events_(std::move(events)) {}
    void up(actors::connection_number connection, secret32 exporter, actors::uplink_peer peer) override {
      events_->connected(number_, peer.server);
      to_.up(connection, std::move(exporter), std::move(peer));
    }
    void down(actors::connection_number connection, actors::uplink_end end) override {
      to_.down(connection, std::move(end));
    }
    void frames(actors::connection_number connection, std::vector<secret_bytes> batch) override {
      to_.frames(connection, std::move(batch));
    }

   private:
    actors::uplink_to_actor to_;
    const int number_;
    const std::shared_ptr<const gateway_events> events_;
  };

  explicit radioless_gateway(int number)
      : number_(number), user_(user_of(number)), gw_(testing_people::gateway_named(uri_of(number))) {}

  /// A gateway that has enrolled.
  status open_store() {
    auto& random = crypto::system_entropy();
    CPNS_TRY(rows_, storage::sealed_store::open(under_, *test::key_file_protector(random), random));
    keys_ = std::make_unique<actors::key_store>(
        *rows_, [this](const storage::sealed_batch& batch, const storage::commit_done& done) {
          done(rows_->write(batch));
        });
    status saved;
    keys_->save({user_.user, user_.record.salt, user_.record.iterations, user_.client_key, 0},
                [&saved](const status& outcome) { saved = outcome; });
    return saved;
  }

  void run(caf::actor_system& system, const config::gateway_config& c,
           std::shared_ptr<actors::authentication> step0, std::shared_ptr<const gateway_events> events) {
    // The server link sends a device nothing else, and nothing else is sent to one here.
    devices_ = caf::actor_cast<actors::device_actor>(system.spawn([events]() -> caf::behavior {
      return {[events](const actors::gw_response& m) { events->granted(m); },
              [events](const actors::gw_refusal& m) { events->refused(m); }, [](const actors::gw_nonce&) {},
              [](const actors::gw_server_ready&) {}};
    }));
    auto link = actors::server_link_of(c, gw_, *keys_, gate_);
    link.user = user_.user;
    link.counted = events->counted;
    nonces_ = link.nonces;
    auto up = actors::uplink_of(c, link, *step0);
    link_ = actors::spawn_server_link(system, std::move(link));
    from_uplink_ = std::make_unique<listener>(link_, number_, std::move(events));
    up_ = gate_->open([&] {
      return std::make_unique<actors::uplink>(
          std::move(up), [step0] { return step0->context(); }, *from_uplink_);
    });
  }

  const int number_;
  const testing_people::person user_;
  const gateway_id gw_;
  storage::memory_store under_;
  std::unique_ptr<storage::sealed_store> rows_;
  std::unique_ptr<actors::key_store> keys_;
  std::shared_ptr<actors::nonce_cache> nonces_;
  const std::shared_ptr<actors::uplink_gate> gate_ = std::make_shared<actors::uplink_gate>();
  actors::device_actor devices_;
  actors::server_link_actor link_;
  std::unique_ptr<listener> from_uplink_;
  std::unique_ptr<actors::uplink> up_;
};

}  // namespace cpns::bench
