// Steps 4 to 8: the user, the idempotency of requests, and crashes around the write.
#include "tests/unit/server_machine/harness.hpp"

namespace cpns::testing_people {
namespace {

TEST(assignment_machine, first_contact_gets_a_set_and_the_gateways_form_of_the_temporary_key) {
  harness w;
  const auto keys = w.first();
  EXPECT_EQ(keys.generation, 1u);
  EXPECT_EQ(keys.first_index, 0);
  EXPECT_EQ(keys.eukeys.size(), set_size_default);
  EXPECT_FALSE(keys.chain.has_value());
  EXPECT_FALSE(keys.literal);
  EXPECT_EQ(keys.temporary_key,
            crypto::derive_gateway_temporary_key(suite(), w.device.temporary_key, w.gw, 1));
  EXPECT_EQ(keys.owner, w.record().tag);
  EXPECT_EQ(keys.not_after, unix_seconds(w.now) + w.settings.set_lifetime.count());
  EXPECT_EQ(w.record().owner, w.alice.user);
  EXPECT_EQ(w.record().holder, w.gw);
  EXPECT_EQ(w.writes, 1);
}

TEST(assignment_machine, the_literal_release_sends_tk_itself) {
  harness w;
  w.settings.literal_temporary_key = true;
  w.restart();
  const auto keys = w.first();
  EXPECT_TRUE(keys.literal);
  EXPECT_EQ(keys.temporary_key, w.device.temporary_key);
}

TEST(assignment_machine, sends_the_answer_only_after_the_write) {
  harness w;
  auto r = w.ask(assignment_reason::first);
  prove(r, w.alice, w.exporter);
  w.machine->handle_request(w.now, received({w.gw, w.exporter}, w.random.draw_id<request_id>(), r));
  bool persisted = false, answered = false;
  while (auto out = w.machine->poll_output()) {
    if (std::holds_alternative<assignment_fetch_user>(*out)) w.machine->handle_user(w.now, w.alice.record);
    if (std::holds_alternative<assignment_fetch_device>(*out)) w.machine->handle_device(w.now, w.imported);
    if (std::holds_alternative<assignment_persist>(*out)) {
      EXPECT_TRUE(w.record().sets.empty()) << "memory is not ahead of the store";
      persisted = true;
    }
    if (std::holds_alternative<assignment_answer>(*out)) {
      EXPECT_TRUE(persisted);
      EXPECT_EQ(w.record().sets.size(), 1u);
      answered = true;
    }
  }
  EXPECT_TRUE(answered);
}

TEST(assignment_machine,
     wrong_password_and_unknown_user_get_the_same_answer_and_the_device_is_not_looked_up) {
  harness w;
  const person wrong{"alice@example.org", "wrong horse"};
  const person stranger{"mallory@example.org"};
  const auto request = w.ask(assignment_reason::first);
  const auto a = w.send(request, wrong, w.gw, w.random.draw_id<request_id>());
  auto from_stranger = request;
  from_stranger.user = stranger.user;
  const auto b = w.send(from_stranger, stranger, w.gw, w.random.draw_id<request_id>());
  ASSERT_EQ(status_of(a), link_status::unknown_user_or_bad_proof);
  ASSERT_EQ(status_of(b), link_status::unknown_user_or_bad_proof);
  EXPECT_EQ(std::get<refusal>(a).reason, std::get<refusal>(b).reason);
  EXPECT_EQ(std::get<refusal>(a).retry_after, std::get<refusal>(b).retry_after);
  EXPECT_EQ(w.writes, 0);
}

/// Counts the HMACs, which are all the work of a SCRAM check.
class counting_suite final : public crypto::suite {
 public:
  mutable int hmacs = 0;
  const crypto::suite& to = crypto::openssl_suite();
  crypto::digest sha256(byte_view m) const override { return to.sha256(m); }
  secret32 hmac(byte_view k, byte_view m) const override {
    ++hmacs;
    return to.hmac(k, m);
  }
  void expand(const secret32& p, byte_view i, std::span<std::uint8_t> o) const override {
    to.expand(p, i, o);
  }
  secret32 pbkdf2(byte_view p, byte_view s, std::uint32_t i) const override { return to.pbkdf2(p, s, i); }
  bytes gcm_seal(const secret32& k, const byte_array<12>& n, byte_view a, byte_view p) const override {
    return to.gcm_seal(k, n, a, p);
  }
  result<secret_bytes> gcm_open(const secret32& k, const byte_array<12>& n, byte_view a,
                                byte_view c) const override {
    return to.gcm_open(k, n, a, c);
  }
  byte_array<32> x25519_public(const secret32& k) const override { return to.x25519_public(k); }
  result<secret32> x25519(const secret32& k, const byte_array<32>& p) const override {
    return to.x25519(k, p);
  }
};

TEST(assignment_machine, an_unknown_user_costs_the_same_work_as_a_known_one) {
  harness w;
  counting_suite counted;
  entity_record r;
  r.entity = w.device.entity;
  assignment_machine m{w.settings, r, counted, w.random};
  const auto request = w.ask(assignment_reason::first);  // without any proof
  const auto work = [&](const std::optional<user_record>& user) {
    m.handle_request(w.now, received({w.gw, w.exporter}, w.random.draw_id<request_id>(), request));
    counted.hmacs = 0;
    m.handle_user(w.now, user);
    const int done = counted.hmacs;
    while (m.poll_output()) {
    }
    return done;
  };
  const int known = work(w.alice.record);
  EXPECT_GT(known, 0);
  EXPECT_EQ(work(std::nullopt), known);
}

TEST(assignment_machine, checks_a_proof_again_only_if_another_record_of_the_user_is_there) {
  harness w;
  counting_suite counted;
  const proof_check check{counted, w.settings.issuer_key};
  auto r = w.ask(assignment_reason::first);
  prove(r, w.alice, w.exporter);
  received_request asked{counted, std::make_shared<const requester>(requester{w.gw, w.exporter}),
                         w.random.draw_id<request_id>(), r};
  const auto work = [&](const std::optional<user_record>& user, bool good) {
    counted.hmacs = 0;
    EXPECT_EQ(check(asked, user).has_value(), !good);
    return counted.hmacs;
  };
  const int whole = work(w.alice.record, true);
  EXPECT_GT(whole, 0);
  EXPECT_EQ(work(w.alice.record, true), whole) << "a check alone remembers nothing";
  EXPECT_TRUE(check.check_first(asked, std::nullopt));
  EXPECT_EQ(work(w.alice.record, true), whole) << "a wrong proof is not remembered";
  EXPECT_FALSE(check.check_first(asked, w.alice.record));
  EXPECT_EQ(work(w.alice.record, true), 0);
  auto changed = w.alice.record;
  changed.stored_key = person{"alice@example.org", "another horse"}.record.stored_key;
  EXPECT_EQ(work(changed, false), whole) << "the password was changed since";
  EXPECT_EQ(work(std::nullopt, false), whole) << "the user was removed since";
  EXPECT_EQ(work(w.bob.record, false), whole);
}

TEST(assignment_machine, serves_another_entity_with_nothing_of_the_one_before) {
  harness w;
  const auto before = w.first();
  const headset next{"urn:dev:os:32473-7"};
  w.device = next;
  w.imported = next.imported();
  entity_record fresh;
  fresh.entity = next.entity;
  w.machine->load(std::move(fresh));
  const auto keys = w.first();
  EXPECT_EQ(keys.generation, 1u);
  EXPECT_NE(keys.set, before.set);
  EXPECT_FALSE(keys.eukeys == before.eukeys);
  EXPECT_EQ(w.record().entity, next.entity);
  EXPECT_EQ(w.record().answered.size(), 1u);
  EXPECT_EQ(w.record().used.size(), 1u);
}

TEST(assignment_machine, a_proof_of_another_connection_or_for_another_request_is_refused) {
  harness w;
  auto r = w.ask(assignment_reason::first);
  prove(r, w.alice, secret32{});
  w.machine->handle_request(w.now, received({w.gw, w.exporter}, w.random.draw_id<request_id>(), r));
  EXPECT_EQ(status_of(*w.drive()), link_status::unknown_user_or_bad_proof);
  prove(r, w.alice, w.exporter);
  r.known_epoch = epoch{3, 1};
  w.machine->handle_request(w.now, received({w.gw, w.exporter}, w.random.draw_id<request_id>(), r));
  EXPECT_EQ(status_of(*w.drive()), link_status::unknown_user_or_bad_proof);
}

TEST(assignment_machine, refuses_an_unknown_entity_and_answers_when_the_source_is_down) {
  harness w;
  w.imported.reset();
  EXPECT_EQ(status_of(w.send(w.ask(assignment_reason::first))), link_status::unknown_entity);
  w.imported = w.device.imported();
  w.source_fails = true;
  const auto no = w.send(w.ask(assignment_reason::first));
  EXPECT_EQ(status_of(no), link_status::temporary_key_unavailable);
  EXPECT_GT(std::get<refusal>(no).retry_after, 0u);
  EXPECT_EQ(w.writes, 0);
}

TEST(assignment_machine, a_repeated_request_gets_the_same_keys_also_after_a_restart_and_writes_nothing) {
  harness w;
  const auto request = w.ask(assignment_reason::first);
  const auto id = w.random.draw_id<request_id>();
  const auto first = keys_of(w.send(request, w.alice, w.gw, id));
  w.restart();
  w.now += std::chrono::minutes{10};  // its issuer nonce has expired, but the request was answered before
  w.exporter = w.random.draw_secret<32>();
  const auto again = keys_of(w.send(request, w.alice, w.gw, id));
  EXPECT_EQ(again.eukeys, first.eukeys);
  EXPECT_EQ(again.set, first.set);
  EXPECT_EQ(again.temporary_key, first.temporary_key);
  EXPECT_EQ(again.owner, first.owner);
  EXPECT_EQ(w.writes, 1);
}

TEST(assignment_machine, a_repeated_request_for_a_set_that_expired_gets_no_keys) {
  harness w;
  const auto request = w.ask(assignment_reason::first);
  const auto id = w.random.draw_id<request_id>();
  keys_of(w.send(request, w.alice, w.gw, id));
  w.now += w.settings.set_lifetime + seconds{1};
  EXPECT_EQ(status_of(w.send(request, w.alice, w.gw, id)), link_status::stale_nonce);
  EXPECT_EQ(keys_of(w.send(w.ask(assignment_reason::recover))).generation, 2u);
}

TEST(assignment_machine, the_same_id_with_other_content_is_a_bad_request) {
  harness w;
  const auto id = w.random.draw_id<request_id>();
  keys_of(w.send(w.ask(assignment_reason::first), w.alice, w.gw, id));
  EXPECT_EQ(status_of(w.send(w.ask(assignment_reason::first), w.alice, w.gw, id)), link_status::bad_request);
  EXPECT_TRUE(w.saw("request-id-reused"));
}

TEST(assignment_machine, a_repeated_request_after_a_change_of_holder_gets_the_current_status) {
  harness w;
  const auto request = w.ask(assignment_reason::first);
  const auto id = w.random.draw_id<request_id>();
  keys_of(w.send(request, w.alice, w.gw, id));
  auto r = w.record();
  r.holder = w.other_gw;
  w.row = encode(r);
  w.restart();
  EXPECT_EQ(status_of(w.send(request, w.alice, w.gw, id)), link_status::held_by_other);
}

TEST(assignment_machine, a_write_that_fails_is_answered_overloaded_and_leaves_no_trace) {
  harness w;
  w.store_fails = true;
  const auto request = w.ask(assignment_reason::first);
  const auto id = w.random.draw_id<request_id>();
  const auto no = w.send(request, w.alice, w.gw, id);
  EXPECT_EQ(status_of(no), link_status::overloaded);
  EXPECT_GT(std::get<refusal>(no).retry_after, 0u);
  EXPECT_TRUE(w.record().sets.empty());
  EXPECT_FALSE(w.record().owner.has_value());
  EXPECT_FALSE(w.saw("ownership-claimed")) << "only durable changes are reported to the operator";
  EXPECT_FALSE(w.saw("generation-opened"));
  w.store_fails = false;
  EXPECT_EQ(keys_of(w.send(request, w.alice, w.gw, id)).generation, 1u)
      << "the same request is granted when the store works again";
}

TEST(assignment_machine, a_report_that_cannot_be_stored_is_not_logged) {
  harness w;
  const auto keys = w.first();
  for (const bool fails : {true, false}) {
    w.events.clear();
    w.store_fails = fails;
    w.report({keys.generation, 0});
    EXPECT_NE(w.saw("report-ok"), fails);
    EXPECT_NE(w.record().last_report.has_value(), fails);
  }
}

TEST(assignment_machine, a_crash_before_the_write_forgets_the_grant_and_a_crash_after_it_repeats_it) {
  for (const bool written : {false, true}) {
    harness w;
    auto request = w.ask(assignment_reason::first);
    const auto id = w.random.draw_id<request_id>();
    prove(request, w.alice, w.exporter);
    w.machine->handle_request(w.now, received({w.gw, w.exporter}, id, request));
    std::vector<secret32> made;
    while (auto out = w.machine->poll_output()) {
      if (std::holds_alternative<assignment_fetch_user>(*out)) w.machine->handle_user(w.now, w.alice.record);
      if (std::holds_alternative<assignment_fetch_device>(*out)) w.machine->handle_device(w.now, w.imported);
      if (auto* p = std::get_if<assignment_persist>(&*out)) {
        made = p->record->sets.at(0).eukeys;
        if (written) w.row = encode(*p->record);
        break;  // the process ends here
      }
    }
    w.restart();
    const auto keys = keys_of(w.send(request, w.alice, w.gw, id));
    EXPECT_EQ(keys.eukeys == made, written);
    EXPECT_EQ(keys.generation, 1u);
  }
}

TEST(assignment_machine, remembers_the_newest_sixteen_requests) {
  harness w;
  std::vector<std::pair<request_id, key_assignment_request>> sent;
  for (int i = 0; i < 20; ++i) {
    sent.emplace_back(w.random.draw_id<request_id>(), w.ask(assignment_reason::first));
    keys_of(w.send(sent.back().second, w.alice, w.gw, sent.back().first));
  }
  EXPECT_EQ(w.record().answered.size(), 16u);
  EXPECT_EQ(status_of(w.send(sent[4].second, w.alice, w.gw, sent[4].first)), link_status::ok);
  EXPECT_EQ(status_of(w.send(sent[3].second, w.alice, w.gw, sent[3].first)), link_status::stale_nonce)
      << "forgotten, and its exchange was used";
}

}  // namespace
}  // namespace cpns::testing_people
