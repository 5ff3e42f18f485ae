#pragma once
// The server's actors on the virtual scheduler: nothing runs until the test says so, and writes are held
// back.

#include <gtest/gtest.h>

#include <caf/scheduler/test_coordinator.hpp>
#include <deque>

#include "server/dispatcher.hpp"
#include "server/session.hpp"
#include "storage/faulty_store.hpp"
#include "storage/memory_store.hpp"
#include "tests/unit/server_machine/people.hpp"

namespace cpns::server_actor_tests {

using namespace testing_people;
using namespace server;

struct testing_config : caf::actor_system_config {
  testing_config() { set("scheduler.policy", caf::atom("testing")); }
};

/// What a gateway received.
class inbox final : public link_port {
 public:
  std::vector<protocol::link_answer> answers;
  std::vector<std::string> closed;
  void send(secret_bytes answer) override {
    auto a = protocol::decode_link_answer(answer.expose());
    ASSERT_TRUE(a.has_value()) << a.error().message();
    answers.push_back(std::move(*a));
  }
  void close(std::string why) override { closed.push_back(std::move(why)); }
};

struct place {
  testing_config config;
  caf::actor_system system{config};
  caf::scheduler::test_coordinator& scheduler =
      dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());
  time_point now{seconds{1'800'000'000}};
  seeded_entropy random{11};
  person alice{"alice@example.org"};
  storage::memory_store memory;
  storage::faulty_store faulty{memory};
  std::unique_ptr<storage::key_protector> protector =
      storage::make_passphrase_protector(secret_bytes::from_text("x")).value();
  std::unique_ptr<storage::sealed_store> sealed =
      storage::sealed_store::open(faulty, *protector, random).value();
  user_directory users{*sealed, suite(), secret32{}, 10};
  temporary_key_table devices{*sealed};
  struct write {
    storage::sealed_batch batch;
    storage::commit_done done;
  };
  std::deque<write> held;
  bool hold_writes = false;
  std::shared_ptr<role_context> role;
  dispatcher_actor root;
  std::shared_ptr<inbox> box = std::make_shared<inbox>();
  secret32 exporter = random.draw_secret<32>();
  gateway_id gw = gateway_named("urn:cpns:gw:phone");
  session_actor gateway;

  explicit place(std::uint32_t entities_live = 100) {
    auto s = std::make_shared<actor_settings>();
    s->assignment.issuer_key = random.draw_secret<32>();
    s->entities_live = entities_live;
    s->entity_idle = seconds{30};
    role = std::make_shared<role_context>(
        *sealed,
        [this](storage::sealed_batch b, storage::commit_done done) {
          held.push_back({std::move(b), std::move(done)});
          if (!hold_writes) complete();
        },
        users, devices, suite(), random, [this] { return now; }, s);
    put(storage::table::users, alice.user.text(), encode(alice.record));
    root = system.spawn(dispatcher, role.get());
    role->replace_dispatcher(root);
    gateway = system.spawn(session, role, peer_info{gw, "urn:cpns:gw:phone", "test", exporter}, box);
    drain();
  }
  ~place() {
    caf::anon_send_exit(gateway, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(root, caf::exit_reason::user_shutdown);
    drain();
    scheduler.clock().cancel_all();
    gateway = session_actor{};
    root = dispatcher_actor{};
    role->replace_dispatcher({});
    held.clear();
    drain();
  }
  place(const place&) = delete;
  place& operator=(const place&) = delete;

  void drain() {
    while (scheduler.try_run_once()) {
    }
  }
  /// The oldest write becomes durable, or fails.
  void complete(bool ok = true) {
    auto w = std::move(held.front());
    held.pop_front();
    if (!ok) return w.done(fail(errc::store_full, "test"));
    w.done(w.batch.empty() ? cpns::status{} : sealed->write(w.batch));
  }
  void put(storage::table t, std::string_view row, secret_bytes value) {
    storage::sealed_batch b;
    b.push_back({t, to_bytes(as_bytes(row)), std::move(value)});
    ASSERT_TRUE(sealed->write(b).has_value());
  }
  headset device(int i) {
    headset h{"urn:dev:os:32473-" + std::to_string(1000 + i)};
    put(storage::table::devices, h.entity.text(), encode(h.imported()));
    return h;
  }
  template <class Body>
  protocol::link_request request(Body b) {
    protocol::link_request r;
    r.id = random.draw_id<request_id>();
    r.body = std::move(b);
    return r;
  }
  protocol::link_request assignment(headset& h, assignment_reason why = assignment_reason::first) {
    const auto slot = static_cast<std::uint64_t>(unix_seconds(now) / protocol::issuer_slot.count());
    const auto nonce =
        crypto::derive_issuer_nonce(suite(), role->settings()->assignment.issuer_key, gw, slot);
    auto body = make_request(alice, h, why, h.answer(gw, nonce));
    prove(body, alice, exporter);
    return request(std::move(body));
  }
  void send(std::vector<bytes> frames) {
    caf::anon_send(gateway, frames_came{std::make_shared<const std::vector<bytes>>(std::move(frames))});
    drain();
  }
  void send(const protocol::link_request& r) { send(std::vector<bytes>{encode(r)}); }
  void advance(milliseconds d) {
    now += d;
    caf::anon_send(root, tick{});
    drain();
  }
  dispatcher_state& inside() {
    using pointer = dispatcher_actor::stateful_pointer<dispatcher_state>;
    return static_cast<pointer>(caf::actor_cast<caf::abstract_actor*>(root))->state;
  }
  std::size_t live() { return inside().latest.size(); }
  void kill(const headset& h) {
    caf::anon_send_exit(inside().by_entity.at(h.entity)->actor, caf::exit_reason::unhandled_exception);
    drain();
  }
  [[nodiscard]] link_status answer_status(std::size_t i) const {
    if (i >= box->answers.size()) {
      ADD_FAILURE() << "no answer " << i;
      return link_status::internal;
    }
    const auto* no = std::get_if<refusal>(&box->answers[i].body);
    return no == nullptr ? link_status::ok : no->status;
  }
  const protocol::assigned_keys& keys(std::size_t i) const {
    return std::get<protocol::assigned_keys>(box->answers.at(i).body);
  }
};

}  // namespace cpns::server_actor_tests
