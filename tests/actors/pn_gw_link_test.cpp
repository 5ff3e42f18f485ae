// The server link actor: reconnects, proofs, enrolment, reports.
#include <algorithm>

#include "tests/actors/password_file.hpp"
#include "tests/actors/pn_gw_harness.hpp"

namespace cpns::gateway_actor_tests {
namespace {

using protocol::assignment_reason;

bool is_assignment(const protocol::link_request& r) {
  return std::holds_alternative<protocol::key_assignment_request>(r.body);
}

TEST(pn_gw_link, a_request_keeps_its_id_over_a_reconnect_and_gets_a_proof_of_the_new_connection) {
  gateway_harness p;
  p.swallows = is_assignment;
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.settle();
  ASSERT_EQ(p.assignments().size(), 1u);
  p.cut_server();
  p.swallows = nullptr;
  p.advance(seconds{2});
  p.connect_server();
  const auto all = p.assignments();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0]->id, all[1]->id);
  const auto &a = std::get<protocol::key_assignment_request>(all[0]->body),
             &b = std::get<protocol::key_assignment_request>(all[1]->body);
  EXPECT_NE(a.proof, b.proof);
  EXPECT_EQ(a.dreq, b.dreq);
  EXPECT_TRUE(h.key().has_value());
}

TEST(pn_gw_link, repeats_an_unanswered_request_with_the_same_id) {
  gateway_harness p;
  int lost = 1;
  p.swallows = [&lost](const auto& r) { return is_assignment(r) && lost-- > 0; };
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.advance(seconds{9});
  EXPECT_FALSE(h.key().has_value());
  p.advance(seconds{4});
  EXPECT_TRUE(h.key().has_value());
  const auto all = p.assignments();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0]->id, all[1]->id);
}

TEST(pn_gw_link, a_device_that_asks_again_has_one_request_in_flight) {
  gateway_harness p;
  p.swallows = is_assignment;
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.advance(seconds{300});
  p.cut_server();
  p.asked.clear();
  p.connect_server();
  EXPECT_LE(p.assignments().size(), 1u) << "requests that the device gave up are not repeated";
}

TEST(pn_gw_link, without_a_server_devices_wait_and_are_served_when_it_is_back) {
  gateway_harness p;
  p.cut_server();
  auto& h = p.pne(1);
  p.advance(seconds{60});
  p.radio.link_up(h);
  p.advance(seconds{60});
  EXPECT_TRUE(p.assignments().empty());
  EXPECT_TRUE(h.link != 0);
  p.connect_server();
  EXPECT_TRUE(p.advance_until([&] { return h.key().has_value(); }, seconds{5}))
      << "it does not wait for the end of its back-off";
}

TEST(pn_gw_link, requests_in_flight_are_bounded_and_all_are_served) {
  gateway_choices c;
  c.requests_max = 16;
  gateway_harness p{c};
  p.hold_writes = true;
  std::vector<headset_end*> all;
  for (int i = 0; i < 60; ++i) all.push_back(&p.pne(i));
  for (auto* h : all) p.radio.link_up(*h);
  p.settle();
  EXPECT_EQ(p.assignments().size(), 16u);
  std::size_t answered = 0;
  while (!p.held.empty()) {
    p.complete();
    p.settle();
    ++answered;
    EXPECT_LE(p.assignments().size(), 16u + answered);
  }
  for (auto* h : all) EXPECT_TRUE(h->key().has_value());
}

TEST(pn_gw_link, the_issuer_nonce_is_fetched_when_it_is_older_than_50_seconds) {
  gateway_harness p;
  const auto nonces = [&] {
    return std::count_if(p.asked.begin(), p.asked.end(), [](const auto& r) {
      return std::holds_alternative<protocol::issuer_nonce_request>(r.body);
    });
  };
  EXPECT_EQ(nonces(), 1) << "once at the start of a connection";
  (void)p.keyed_pne(1);
  p.advance(seconds{40});
  (void)p.keyed_pne(2);
  EXPECT_EQ(nonces(), 1);
  p.advance(seconds{80});
  auto& late = p.pne(3);
  p.radio.link_up(late);
  p.settle();
  EXPECT_EQ(nonces(), 2);
  EXPECT_TRUE(late.key().has_value());
}

TEST(pn_gw_link, logs_undecodable_answers_and_ignores_them) {
  gateway_harness p;
  for (const char* hex : {"", "00", "ff", "9a10000000", "820102"}) {
    auto batch = std::vector<secret_bytes>{secret_bytes{from_hex(hex).value()}};
    caf::anon_send(p.link, actors::link_frames{p.connected, std::make_shared<const std::vector<secret_bytes>>(
                                                                std::move(batch))});
  }
  p.settle();
  EXPECT_TRUE(p.logged("bad-answer"));
  EXPECT_TRUE(p.failures.empty());
  (void)p.keyed_pne(1);
}

TEST(pn_gw_link, drops_an_answer_without_a_request) {
  gateway_harness p;
  auto& h = p.keyed_pne(1);
  const auto before = p.record(h)->keys.size();
  protocol::link_answer forged;
  forged.id = p.random.draw_id<request_id>();
  protocol::assigned_keys keys;
  keys.generation = 9;
  keys.eukeys.resize(1);
  forged.body = std::move(keys);
  std::vector<secret_bytes> batch;
  batch.push_back(encode(forged));
  caf::anon_send(p.link, actors::link_frames{p.connected, std::make_shared<const std::vector<secret_bytes>>(
                                                              std::move(batch))});
  p.settle();
  EXPECT_EQ(p.record(h)->keys.size(), before);
}

TEST(pn_gw_link, the_first_enrolment_reads_the_password_once_and_keeps_no_password) {
  password_file file{"correct horse\n"};
  gateway_harness p{not_enrolled(file.path())};
  EXPECT_TRUE(p.logged("\"event\":\"enrolled\""));
  (void)p.keyed_pne(1);
  file.write("another password");
  p.stop();
  p.start();
  p.connect_server();
  (void)p.keyed_pne(2);
  EXPECT_FALSE(p.logged("correct horse"));
  const auto kept = p.keys.credentials(p.alice.user).value();
  ASSERT_TRUE(kept.has_value());
  EXPECT_EQ(kept->client_key, p.alice.client_key);
}

TEST(pn_gw_link, refuses_too_few_iterations_and_derives_nothing) {
  password_file file{"correct horse\n"};
  auto c = not_enrolled(file.path());
  c.iterations = 99'999;
  gateway_harness p{c};
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.advance(seconds{40});
  EXPECT_TRUE(p.logged("not-enrolled"));
  EXPECT_TRUE(p.logged("99999"));
  EXPECT_TRUE(p.assignments().empty()) << "no proof was computed";
  EXPECT_FALSE(p.keys.credentials(p.alice.user).value().has_value());
}

TEST(pn_gw_link, retries_to_enrol_until_the_password_file_exists) {
  password_file file{""};
  gateway_harness p{not_enrolled(file.path())};
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.advance(seconds{5});
  EXPECT_TRUE(p.logged("not-enrolled"));
  file.write("correct horse");
  EXPECT_TRUE(p.advance_until([&] { return h.key().has_value(); }, seconds{5}));
}

TEST(pn_gw_link, does_not_report_enrolled_while_the_disk_is_full) {
  password_file file{""};
  gateway_harness p{not_enrolled(file.path())};
  p.gw_faulty.fail_writes(errc::store_full);
  file.write("correct horse");
  EXPECT_TRUE(p.advance_until([&] { return p.logged("credentials-not-written"); }, seconds{40}));
  EXPECT_TRUE(p.logged("keep the password file"));
  EXPECT_FALSE(p.logged("is not needed any more"));
  p.gw_faulty.repair();
  EXPECT_TRUE(p.advance_until([&] { return p.logged("is not needed any more"); }, seconds{40}));
  EXPECT_TRUE(p.keys.credentials(p.alice.user).value().has_value());
}

TEST(pn_gw_link, logs_a_wrong_password_and_recovers_when_the_file_is_written_again) {
  password_file file{"wrong horse"};
  gateway_harness p{not_enrolled(file.path())};
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.advance(seconds{20});
  EXPECT_TRUE(p.logged("user-refused"));
  EXPECT_FALSE(p.logged("wrong horse"));
  EXPECT_FALSE(h.key().has_value());
  file.write("correct horse");
  EXPECT_TRUE(p.advance_until([&] { return h.key().has_value(); }, seconds{5}));
}

TEST(pn_gw_link, does_not_use_a_changed_salt_until_the_user_writes_the_password_file) {
  password_file file{"correct horse"};
  gateway_harness p{not_enrolled(file.path())};
  const auto kept = p.keys.credentials(p.alice.user).value();
  ASSERT_TRUE(kept.has_value());
  p.set_password("battery staple");
  p.advance(seconds{1});
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.advance(seconds{400});
  EXPECT_TRUE(p.logged("user-refused"));
  EXPECT_EQ(p.keys.credentials(p.alice.user).value()->salt, kept->salt);
  EXPECT_EQ(
      std::count_if(p.asked.begin(), p.asked.end(),
                    [](const auto& r) { return std::holds_alternative<protocol::user_challenge>(r.body); }),
      1)
      << "the server is not asked for a salt again";
  file.write("battery staple");
  EXPECT_TRUE(p.advance_until([&] { return h.key().has_value(); }, seconds{5}));
  EXPECT_EQ(p.keys.credentials(p.alice.user).value()->salt, p.alice.record.salt);
}

TEST(pn_gw_link, repeats_reports_until_they_are_answered) {
  gateway_harness p;
  int lost = 2;
  p.swallows = [&lost](const auto& r) {
    return std::holds_alternative<protocol::epoch_report>(r.body) && lost-- > 0;
  };
  auto& h = p.keyed_pne(1);
  const auto done = [&] {
    const auto row = p.sealed->get(storage::table::entities, as_bytes(h.entity.text())).value();
    return protocol::decode_entity_record(row->expose()).value().last_report == h.key();
  };
  p.advance(seconds{5});
  EXPECT_FALSE(done());
  ASSERT_TRUE(p.advance_until([&] { return !p.given_up.empty(); }, seconds{30}))
      << "no other request is sent";
  p.cut_server();
  p.connect_server();
  EXPECT_TRUE(p.advance_until(done, seconds{5}));
}

TEST(pn_gw_link, every_device_retries_when_the_refused_password_is_corrected) {
  password_file file{"correct horse"};
  gateway_harness p{not_enrolled(file.path())};
  p.set_password("battery staple");
  std::vector<headset_end*> all;
  for (int i = 0; i < 20; ++i) p.radio.link_up(*all.emplace_back(&p.pne(i)));
  p.advance(seconds{30});
  EXPECT_TRUE(p.logged("user-refused"));
  const auto text = p.log.text();
  constexpr std::string_view line = "\"component\":\"gateway\",\"event\":\"user-refused\"";
  EXPECT_EQ(text.find(line), text.rfind(line)) << "logged once for all of them";
  file.write("battery staple");
  EXPECT_TRUE(p.advance_until(
      [&] { return std::all_of(all.begin(), all.end(), [](auto* h) { return h->key().has_value(); }); },
      seconds{60}))
      << "the server delays after wrong proofs, by at most 30 s";
}

TEST(pn_gw_link, gives_up_a_silent_connection_for_the_next_server) {
  gateway_harness p;
  p.swallows = [](const auto&) { return true; };  // the server is frozen
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.advance(seconds{19});
  EXPECT_TRUE(p.given_up.empty());
  p.advance(seconds{3});
  ASSERT_EQ(p.given_up.size(), 1u);
  EXPECT_EQ(p.given_up[0].first, p.connected);
  EXPECT_NE(p.given_up[0].second.find("20000 ms"), std::string::npos);
  p.swallows = nullptr;
  p.connect_server();
  EXPECT_TRUE(p.advance_until([&] { return h.key().has_value(); }, seconds{5}));
  EXPECT_EQ(p.given_up.size(), 1u);
}

TEST(pn_gw_link, does_not_give_up_an_idle_connection) {
  gateway_harness p;
  (void)p.keyed_pne(1);
  p.advance(seconds{900});
  EXPECT_TRUE(p.given_up.empty());
}

TEST(pn_gw_link, one_unanswered_request_fails_alone) {
  gateway_harness p;
  auto& unlucky = p.pne(99);
  p.swallows = [&](const protocol::link_request& r) {
    const auto* a = std::get_if<protocol::key_assignment_request>(&r.body);
    return a != nullptr && a->entity == unlucky.entity;
  };
  p.radio.link_up(unlucky);
  for (int i = 0; i < 12; ++i) {
    (void)p.keyed_pne(i);
    p.advance(seconds{5});
  }
  EXPECT_TRUE(p.given_up.empty());
  EXPECT_TRUE(p.logged("the server does not answer this request"));
  std::map<request_id, int> sent;
  for (const auto* r : p.assignments())
    if (std::get<protocol::key_assignment_request>(r->body).entity == unlucky.entity) ++sent[r->id];
  EXPECT_LE(sent.size(), 3u);
  for (const auto& [id, times] : sent) EXPECT_LE(times, 2);
  p.swallows = nullptr;
  EXPECT_TRUE(p.advance_until([&] { return unlucky.key().has_value(); }, seconds{60}));
}

TEST(pn_gw_link, does_not_repeat_a_request_that_its_device_gave_up) {
  gateway_harness p;
  p.swallows = is_assignment;
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.settle();
  ASSERT_EQ(p.assignments().size(), 1u);
  const auto given_up = p.assignments()[0]->id;
  p.cut_server();
  p.advance(seconds{40});
  p.asked.clear();
  p.swallows = nullptr;
  p.connect_server();
  EXPECT_TRUE(p.advance_until([&] { return h.key().has_value(); }, seconds{5}));
  for (const auto* r : p.assignments()) EXPECT_NE(r->id, given_up) << "its index would be wasted";
}

TEST(pn_gw_link, sends_a_proof_only_on_the_connection_it_was_made_for) {
  gateway_harness p;
  ++p.connected;  // another connection is up, and the actor is not notified yet
  const auto before = p.asked.size();
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.settle();
  EXPECT_EQ(p.asked.size(), before) << "nothing is sent on the new one";
  ASSERT_FALSE(p.late.empty());
  for (const auto n : p.late) EXPECT_EQ(n, p.connected - 1);
}

TEST(pn_gw_link, probes_the_connection_at_once_after_suspend) {
  gateway_harness p;
  (void)p.keyed_pne(1);
  p.advance(seconds{5});
  const auto before = p.asked.size();
  p.swallows = [](const auto&) { return true; };  // the server has closed the connection
  p.now += std::chrono::hours{8};
  p.advance(seconds{2});
  EXPECT_GT(p.asked.size(), before);
  p.advance(seconds{22});
  EXPECT_EQ(p.given_up.size(), 1u);
}

TEST(pn_gw_link, backs_off_reports_while_the_server_cannot_store_them) {
  gateway_harness p;
  const auto is_report = [](const protocol::link_request& r) {
    return std::holds_alternative<protocol::epoch_report>(r.body);
  };
  p.swallows = is_report;
  auto& h = p.keyed_pne(1);
  p.faulty.fail_writes(errc::store_full);
  p.swallows = nullptr;
  p.asked.clear();
  p.advance(seconds{120});
  EXPECT_LE(std::count_if(p.asked.begin(), p.asked.end(), is_report), 7);
  p.faulty.repair();
  const auto done = [&] {
    const auto row = p.sealed->get(storage::table::entities, as_bytes(h.entity.text())).value();
    return protocol::decode_entity_record(row->expose()).value().last_report == h.key();
  };
  EXPECT_TRUE(p.advance_until(done, seconds{300}));
}

TEST(pn_gw_link, does_not_warn_of_a_planned_end) {
  gateway_harness p;
  caf::anon_send(p.link, actors::link_down{p.connected, "the server ended the connection", true});
  p.settle();
  EXPECT_TRUE(p.logged("server-disconnected"));
  EXPECT_FALSE(p.logged("server-unreachable"));
}

}  // namespace
}  // namespace cpns::gateway_actor_tests
