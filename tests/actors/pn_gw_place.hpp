#pragma once
// The gateway's actors on the virtual scheduler, between real PNE machines and the server's real actors.

#include <filesystem>
#include <fstream>

#include "actors/pn_gw/supervisor.hpp"
#include "tests/actors/pn_gw_air.hpp"
#include "tests/actors/server_place.hpp"
#include "tests/unit/server/captured_log.hpp"

namespace cpns::gateway_actor_tests {

using namespace testing_people;
using server_tests::captured_log;

/// What differs from a plain gateway.
struct gateway_choices {
  protocol::validation_policy policy = protocol::validation_policy::automatic;
  std::vector<std::string> allow, deny;
  std::optional<int> min_rssi;
  std::optional<seconds> rekey;
  std::uint32_t devices_max = 1000, links_max = 1000;
  std::size_t requests_max = 128;
  bool enrolled = true;
  std::string password = "correct horse";  ///< the server's, when not enrolled
  std::uint32_t iterations = 100'000;
  std::filesystem::path password_file;
};

/// The server's end of the connection: what it sends becomes messages of the link actor.
class wire final : public server::link_port {
 public:
  explicit wire(actors::server_link_actor to) : to_(std::move(to)) {}
  void send(secret_bytes answer) override {
    if (!to_) return;
    caf::anon_send(to_, actors::link_frames{std::make_shared<const std::vector<secret_bytes>>(
                            std::vector<secret_bytes>{std::move(answer)})});
  }
  void close(std::string) override { to_ = nullptr; }
  void cut() { to_ = nullptr; }

 private:
  actors::server_link_actor to_;
};

struct gateway_place : server_actor_tests::place {
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
  actors::supervisor_actor supervisor;
  actors::server_link_actor link;
  air radio{random, now, [this] {
              if (supervisor) caf::anon_send(supervisor, actors::sup_radio_ready{});
            }};
  std::shared_ptr<wire> connection;
  server::session_actor session;
  std::vector<protocol::link_request> asked;  ///< everything that the gateway sent to the server
  std::function<bool(const protocol::link_request&)> swallows;  ///< requests that do not arrive
  std::vector<std::string> failures;

  explicit gateway_place(gateway_choices c = {}) : choices(std::move(c)) {
    if (choices.enrolled) {
      actors::user_credentials own{alice.user, alice.record.salt, alice.record.iterations, alice.client_key,
                                   0};
      keys.save(own, [](const status&) {});
      settle();
    } else {
      set_password(choices.password);
    }
    start();
    connect_server();
  }
  /// The server's user gets this password, with another salt.
  void set_password(std::string_view password) {
    alice.record.salt = random.draw<16>();
    alice.record.iterations = choices.iterations;
    alice.client_key =
        crypto::scram_client_key(suite(), as_bytes(password), alice.record.salt, alice.record.iterations);
    alice.record.stored_key = crypto::scram_stored_key(suite(), alice.client_key);
    put(storage::table::users, alice.user.text(), encode(alice.record));
    users.reset(10);
  }
  ~gateway_place() {
    hold_gateway_writes = hold_writes = false;
    stop();
    caf::anon_send_exit(session, caf::exit_reason::user_shutdown);
    settle();
    session = server::session_actor{};
  }

  /// The gateway's process begins, from what its store holds.
  void start() {
    const auto nonces = std::make_shared<actors::nonce_cache>();
    actors::server_link_parts l;
    l.user = alice.user;
    l.password_file = choices.password_file;
    l.requests_max = choices.requests_max;
    l.clock = [this] { return now; };
    l.store = &keys;
    l.nonces = nonces;
    l.send = [this](bytes frame) { to_server(std::move(frame)); };
    link = actors::spawn_server_link(system, std::move(l));
    auto rules = std::make_shared<actors::supervisor_rules>();
    rules->device.gw = gw;
    rules->device.user = alice.user;
    rules->device.policy = choices.policy;
    rules->device.rekey_override = choices.rekey;
    rules->validation.allow = choices.allow;
    rules->validation.deny = choices.deny;
    rules->validation.min_rssi = choices.min_rssi;
    rules->devices_max = choices.devices_max;
    rules->links_max = choices.links_max;
    actors::supervisor_parts s;
    s.rules = std::move(rules);
    s.radios.push_back({"air", radio.inbox, &radio});
    s.store = &keys;
    s.nonces = nonces;
    s.uplink = link;
    s.clock = [this] { return now; };
    s.failed = [this](std::string why) { failures.push_back(std::move(why)); };
    supervisor = actors::spawn_supervisor(system, std::move(s));
    settle();
  }
  /// It drains and ends.
  void stop() {
    if (!supervisor) return;
    caf::anon_send(supervisor, actors::sup_stop{});
    settle();
    supervisor = nullptr;
    if (connection) connection->cut();
    link = nullptr;
    scheduler.clock().cancel_all();
    settle();
  }

  void connect_server() {
    const auto bound = random.draw_secret<32>();
    connection = std::make_shared<wire>(link);
    session = system.spawn(server::session, role, server::peer_info{gw, "urn:cpns:gw:phone", "test", bound},
                           connection);
    caf::anon_send(link, actors::link_up{std::make_shared<const secret32>(bound), "test"});
    settle();
  }
  void cut_server() {
    connection->cut();
    caf::anon_send(session, server::link_closed{});
    session = server::session_actor{};
    caf::anon_send(link, actors::link_down{"cut"});
    settle();
  }
  void to_server(bytes frame) {
    auto r = protocol::decode_link_request(frame);
    ASSERT_TRUE(r.has_value()) << r.error().message();
    const bool lost = !session || (swallows && swallows(*r));
    asked.push_back(std::move(*r));
    if (lost) return;
    caf::anon_send(session,
                   server::frames_came{std::make_shared<const std::vector<bytes>>(1, std::move(frame))});
  }

  /// The oldest write of the gateway becomes durable, or fails as its store says.
  void complete_gateway() {
    auto w = std::move(gw_held.front());
    gw_held.pop_front();
    w.done(gw_sealed->write(w.batch));
  }
  /// Everything that can happen without time going by.
  void settle() {
    for (bool more = true; more;) {
      more = false;
      while (scheduler.try_run_once()) more = true;
      while (radio.step()) more = true;
      if (!hold_gateway_writes && !gw_held.empty()) {
        complete_gateway();
        more = true;
      }
    }
  }
  /// Stops at each deadline on the way.
  void advance(milliseconds d) {
    const auto until = now + d;
    settle();
    while (now < until) {
      auto next = std::min(until, std::max(radio.next_deadline(), now + milliseconds{1}));
      const auto& timers = scheduler.clock().schedule();
      if (!timers.empty()) {
        const auto wait = std::chrono::ceil<milliseconds>(timers.begin()->first - scheduler.clock().now());
        next = std::min(next, now + std::max(wait, milliseconds{1}));
      }
      scheduler.advance_time(next - now);
      now = next;
      settle();
    }
  }
  /// Until `done`, or until `most` has gone by.
  template <class Done>
  bool advance_until(Done done, milliseconds most) {
    for (const auto until = now + most; now < until && !done();) advance(milliseconds{100});
    return done();
  }

  /// A manufactured device that the server knows.
  headset_end& pne(int i) {
    auto known = device(i);
    return radio.add(known.entity, known.temporary_key);
  }
  /// Brings it on a link and lets it get its first key.
  headset_end& keyed_pne(int i) {
    auto& h = pne(i);
    radio.link_up(h);
    settle();
    EXPECT_TRUE(h.key().has_value());
    return h;
  }
  [[nodiscard]] std::optional<protocol::device_record> record(const headset_end& h) {
    return keys.load(h.entity).value();
  }
  [[nodiscard]] std::optional<epoch> own_key(const headset_end& h) {
    const auto r = record(h);
    return r && r->own() != nullptr ? std::optional{r->own()->which} : std::nullopt;
  }
  [[nodiscard]] std::size_t count_asked(protocol::assignment_reason why) const {
    return static_cast<std::size_t>(std::count_if(asked.begin(), asked.end(), [why](const auto& r) {
      const auto* body = std::get_if<protocol::key_assignment_request>(&r.body);
      return body != nullptr && body->reason == why;
    }));
  }
  [[nodiscard]] std::vector<const protocol::link_request*> assignments() const {
    std::vector<const protocol::link_request*> out;
    for (const auto& r : asked)
      if (std::holds_alternative<protocol::key_assignment_request>(r.body)) out.push_back(&r);
    return out;
  }

  template <class Answer, class Message>
  Answer ask(Message m) {
    caf::scoped_actor self{system};
    auto handle = self->request(supervisor, caf::infinite, std::move(m));
    settle();
    Answer out{};
    handle.receive([&out](Answer& a) { out = std::move(a); },
                   [](const caf::error&) { ADD_FAILURE() << "no answer"; });
    return out;
  }
  std::string show(const headset_end& h) { return ask<std::string>(actors::sup_show{h.entity.text()}); }
  std::string command(const headset_end& h, std::string what) {
    return ask<std::string>(actors::sup_command{h.entity.text(), std::move(what)});
  }
  std::string stats() { return ask<std::string>(actors::sup_stats{}); }
  bool logged(std::string_view what) const { return log.text().find(what) != std::string::npos; }
};

}  // namespace cpns::gateway_actor_tests
