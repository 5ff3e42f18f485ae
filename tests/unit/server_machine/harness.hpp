#pragma once
// One assignment machine with its store, a user, a headset and two gateways; the test moves the clock.

#include <gtest/gtest.h>

#include "protocol/server/assignment_machine.hpp"
#include "tests/unit/server_machine/people.hpp"

namespace cpns::testing_people {

struct harness {
  time_point now{seconds{1'800'000'000}};
  seeded_entropy random{1};
  person alice{"alice@example.org"};
  person bob{"bob@example.org"};
  headset device{"urn:dev:os:32473-123456"};
  gateway_id gw = gateway_named("urn:cpns:gw:phone");
  gateway_id other_gw = gateway_named("urn:cpns:gw:hub");
  secret32 exporter = random.draw_secret<32>();
  std::map<user_id, user_record> users{{alice.user, alice.record}, {bob.user, bob.record}};
  std::optional<device_secret_record> imported = device.imported();
  bool source_fails = false;
  bool store_fails = false;
  assignment_settings settings = make_settings();
  secret_bytes row;  ///< the durable record
  int writes = 0;
  std::vector<std::string> events;
  std::optional<assignment_machine> machine;

  harness() { restart(); }

  static assignment_settings make_settings() {
    assignment_settings s;
    s.issuer_key = seeded_entropy{99}.draw_secret<32>();
    return s;
  }
  /// The process ends and starts again from the durable record.
  void restart() {
    entity_record r;
    r.entity = device.entity;
    if (!row.empty()) r = decode_entity_record(row.expose()).value();
    machine.emplace(settings, std::move(r), suite(), random);
  }
  [[nodiscard]] const entity_record& record() const { return machine->record(); }

  [[nodiscard]] nonce16 nonce(const gateway_id& g, int slots = 0) const {
    const auto slot = unix_seconds(now) / issuer_slot.count() + slots;
    return crypto::derive_issuer_nonce(suite(), settings.issuer_key, g, static_cast<std::uint64_t>(slot));
  }
  headset::exchange meet() { return device.answer(gw, nonce(gw)); }
  headset::exchange meet(const gateway_id& g) { return device.answer(g, nonce(g)); }

  key_assignment_request ask(assignment_reason why) { return make_request(alice, device, why, meet()); }

  using body = std::variant<assigned_keys, refusal>;
  /// Applies the machine's outputs until there are none.
  std::optional<body> drive() {
    std::optional<body> answer;
    while (auto out = machine->poll_output()) {
      if (auto* u = std::get_if<assignment_fetch_user>(&*out)) {
        const auto found = users.find(u->asked->request.user);
        machine->handle_user(now, found == users.end() ? std::nullopt : std::optional{found->second});
      } else if (std::get_if<assignment_fetch_device>(&*out) != nullptr) {
        if (source_fails)
          machine->handle_device(now, fail(errc::store_unavailable, "the source is down"));
        else
          machine->handle_device(now, imported);
      } else if (auto* p = std::get_if<assignment_persist>(&*out)) {
        if (store_fails) {
          machine->handle_persist_failed(now);
        } else {
          row = encode(*p->record);
          ++writes;
        }
      } else if (auto* a = std::get_if<assignment_answer>(&*out)) {
        answer = std::move(a->body);
      } else if (auto* e = std::get_if<assignment_event>(&*out)) {
        events.emplace_back(e->id);
      }
    }
    return answer;
  }
  body send(key_assignment_request r, const person& who, const gateway_id& g, const request_id& id) {
    events.clear();
    prove(r, who, exporter);
    machine->handle_request(now, received({g, exporter}, id, r));
    auto answer = drive();
    EXPECT_TRUE(answer.has_value()) << "every request is answered";
    EXPECT_EQ(machine->state(), assignment_state::idle);
    return answer ? std::move(*answer) : body{refusal{}};
  }
  body send(const key_assignment_request& r) { return send(r, alice, gw, random.draw_id<request_id>()); }

  /// First contact of alice's phone, granted.
  assigned_keys first() { return std::get<assigned_keys>(send(ask(assignment_reason::first))); }
  /// The device stores key `i` of the set.
  void deliver(const assigned_keys& k, std::uint16_t i) {
    device.keep({k.generation, i}, k.eukeys.at(i - k.first_index));
  }
  report_outcome report(epoch e) { return report(gw, e); }
  report_outcome report(const gateway_id& g, epoch e) {
    const auto out = machine->handle_report(now, g, e);
    drive();
    return out;
  }
  [[nodiscard]] bool saw(std::string_view event) const {
    for (const auto& e : events)
      if (e == event) return true;
    return false;
  }
};

inline link_status status_of(const harness::body& b) {
  const auto* r = std::get_if<refusal>(&b);
  return r == nullptr ? link_status::ok : r->status;
}
inline assigned_keys keys_of(const harness::body& b) {
  EXPECT_EQ(name_of(status_of(b)), name_of(link_status::ok));
  const assigned_keys none{};
  const auto* k = std::get_if<assigned_keys>(&b);
  return k == nullptr ? none : *k;
}

}  // namespace cpns::testing_people
