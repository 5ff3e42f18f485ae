#pragma once
// The gateway's actors on the virtual scheduler, with real PNE machines and the server's real actors.

#include <filesystem>
#include <fstream>

#include "actors/pn_gw/listing.hpp"
#include "actors/pn_gw/supervisor.hpp"
#include "tests/actors/pn_gw_air.hpp"
#include "tests/actors/server_harness.hpp"
#include "tests/unit/server/captured_log.hpp"

namespace cpns::gateway_actor_tests {

using namespace testing_people;
using server_tests::captured_log;

/// Settings of a gateway; the defaults are a plain one.
struct gateway_choices {
  protocol::validation_policy policy = protocol::validation_policy::automatic;
  std::vector<std::string> allow, deny;
  std::optional<int> min_rssi;
  std::optional<seconds> rekey;
  std::uint32_t devices_max = 1000, links_max = 1000;
  std::size_t requests_max = 128;
  std::size_t mailboxes = actors::message_credit::most_default;  ///< bytes
  milliseconds answer_timeout = protocol::answer_timeout_default;
  bool enrolled = true;
  std::string password = "correct horse";  ///< the one that the server stores, if not enrolled
  std::uint32_t iterations = 100'000;
  std::filesystem::path password_file;
};

inline gateway_choices asking() {
  gateway_choices c;
  c.policy = protocol::validation_policy::ask;
  return c;
}

/// A gateway that enrols with this file of a password.
inline gateway_choices not_enrolled(const std::filesystem::path& password_file) {
  gateway_choices c;
  c.enrolled = false;
  c.password_file = password_file;
  return c;
}

/// The server's end of the connection: its answers become messages of the link actor.
class wire final : public server::link_port {
 public:
  wire(actors::server_link_actor to, actors::connection_number number)
      : to_(std::move(to)), number_(number) {}
  void send(secret_bytes answer) override {
    if (!to_) return;
    caf::anon_send(to_, actors::link_frames{number_, std::make_shared<const std::vector<secret_bytes>>(
                                                         std::vector<secret_bytes>{std::move(answer)})});
  }
  void notify(bytes message) override { send(secret_bytes{std::move(message)}); }
  void needs_no_answer() override {}
  void close(std::string) override { to_ = nullptr; }
  void cut() { to_ = nullptr; }

 private:
  actors::server_link_actor to_;
  actors::connection_number number_;
};

struct gateway_harness : server_actor_tests::harness {
  captured_log log;
  gateway_choices choices;
  storage::memory_store gw_memory;
  storage::faulty_store gw_faulty{gw_memory};
  std::unique_ptr<storage::sealed_store> gw_sealed =
      storage::sealed_store::open(gw_faulty, *protector, random).value();
  std::deque<write> gw_held;
  bool hold_gateway_writes = false;
  actors::key_store keys{*gw_sealed, [this](storage::sealed_batch b, storage::commit_done done) {
                           gw_held.push_back({std::move(b), std::move(done)});
                         }};
  std::shared_ptr<actors::pne_history> history;
  std::shared_ptr<actors::pne_tally> tally;
  actors::supervisor_actor supervisor;
  actors::server_link_actor link;
  const std::shared_ptr<actors::node_list> servers =
      std::make_shared<actors::node_list>(std::vector<config::address>{{"test", 1}}, gw);
  air radio{random, now, [this] {
              if (supervisor) caf::anon_send(supervisor, actors::sup_radio_ready{});
            }};
  std::shared_ptr<wire> connection;
  server::session_actor session;
  std::vector<protocol::link_request> asked;                    ///< all requests that the gateway sent
  std::function<bool(const protocol::link_request&)> swallows;  ///< true: the request is lost
  std::vector<std::string> failures;
  actors::connection_number connected = 0;  ///< the number of the newest connection
  std::vector<std::pair<actors::connection_number, std::string>> given_up;
  std::vector<protocol::node_acknowledgement> acknowledged;
  std::vector<actors::connection_number> left;  ///< by uplink::leave
  std::vector<actors::connection_number> late;  ///< connections of frames that were sent too late

  explicit gateway_harness(gateway_choices c = {});
  /// Sets the password of the server's user, with a new salt.
  void set_password(std::string_view password);
  ~gateway_harness();

  /// Starts the gateway from its store.
  void start();
  /// Drains and stops the gateway.
  void stop();

  /// A second server that the gateway may use.
  void know_another_server();
  /// The server sends a request to the gateway by itself.
  void order(decltype(protocol::node_request::body) body);
  void connect_server();
  void cut_server();
  void to_server(actors::connection_number connection, bytes frame);

  /// Completes the oldest pending write of the gateway with the result of its store.
  void complete_gateway();
  /// Runs everything that can happen without advancing time.
  void settle();
  /// Advances time and stops at each deadline in between.
  void advance(milliseconds d);
  /// The machine is suspended: time advances, timers do not.
  void suspend(milliseconds d) { now += d; }
  /// Advances time until `done`, at most by `most`.
  template <class Done>
  bool advance_until(Done done, milliseconds most) {
    for (const auto until = now + most; now < until && !done();) advance(milliseconds{100});
    return done();
  }

  /// A manufactured device that the server knows.
  headset_end& pne(int i);
  /// A PNE that is connected and has its first key.
  headset_end& keyed_pne(int i);
  [[nodiscard]] std::optional<protocol::device_record> record(const headset_end& h);
  [[nodiscard]] std::optional<epoch> own_key(const headset_end& h);
  [[nodiscard]] std::size_t count_asked(protocol::assignment_reason why) const;
  [[nodiscard]] std::vector<const protocol::link_request*> assignments() const;

  std::string show(const headset_end& h);
  /// With its events.
  boost::json::object show_in_full(const headset_end& h);
  std::string command(const headset_end& h, std::string what);
  std::string command(std::string entity, std::string what);
  std::string forget(const headset_end& h);
  /// Minutes 0: closes the window.
  actors::gw_permit permit(int minutes);
  actors::gw_permit permit_now();
  /// A page of the list.
  boost::json::object page(const actors::pnes_wanted& wanted);
  /// All PNEs, by pages of two.
  std::vector<std::string> list();
  boost::json::object server_now();
  std::string stats();
  std::string radios();
  bool logged(std::string_view what) const { return log.text().find(what) != std::string::npos; }

 private:
  template <class Answer, class Message>
  Answer ask(Message m);
  template <class Answer, class Actor, class Message>
  Answer ask_of(const Actor& of, Message m);
};

}  // namespace cpns::gateway_actor_tests
