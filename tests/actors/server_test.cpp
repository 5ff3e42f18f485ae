// Sessions, dispatcher and assignment actors, one step at a time.
#include "tests/actors/server_harness.hpp"
#include "tests/unit/server/captured_log.hpp"

namespace cpns::server_actor_tests {
namespace {

TEST(server_actors, the_answer_leaves_only_when_the_write_is_durable) {
  harness p;
  auto h = p.device(1);
  p.hold_writes = true;
  p.send(p.assignment(h));
  ASSERT_EQ(p.held.size(), 1u);
  EXPECT_TRUE(p.box->answers.empty());
  p.complete();
  p.drain();
  ASSERT_EQ(p.box->answers.size(), 1u);
  EXPECT_EQ(p.answer_status(0), link_status::ok);
}

TEST(server_actors, one_entity_has_one_pending_write_and_others_do_not_wait_for_it) {
  harness p;
  auto a = p.device(1), b = p.device(2);
  p.hold_writes = true;
  p.send({encode(p.assignment(a)), encode(p.assignment(a)), encode(p.assignment(b))});
  ASSERT_EQ(p.held.size(), 2u) << "one of a, one of b";
  while (!p.held.empty()) {
    p.complete();
    p.drain();
  }
  ASSERT_EQ(p.box->answers.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(p.answer_status(i), link_status::ok);
}

TEST(server_actors, the_same_request_twice_at_once_gets_the_same_keys_twice) {
  harness p;
  auto h = p.device(1);
  p.hold_writes = true;
  const auto r = encode(p.assignment(h));
  p.send({r, r});
  p.complete();
  p.drain();
  EXPECT_TRUE(p.held.empty()) << "the second one writes nothing";
  ASSERT_EQ(p.box->answers.size(), 2u);
  EXPECT_EQ(p.keys(0).eukeys, p.keys(1).eukeys);
}

TEST(server_actors, answers_a_request_whose_write_hangs_overloaded_and_its_repetition_with_the_same_keys) {
  harness p;
  auto settings = std::make_shared<actor_settings>(*p.role->settings());
  settings->slow_answer = milliseconds{0};
  p.role->replace_settings(settings);
  auto h = p.device(1);
  p.hold_writes = true;
  const auto r = encode(p.assignment(h));
  p.send({r});
  ASSERT_EQ(p.held.size(), 1u);
  EXPECT_TRUE(p.scheduler.clock().trigger_timeouts() > 0);
  p.drain();
  ASSERT_EQ(p.box->answers.size(), 1u);
  EXPECT_EQ(p.answer_status(0), link_status::overloaded);
  EXPECT_EQ(std::get<protocol::refusal>(p.box->answers[0].body).retry_after, 1u);
  p.complete();
  p.drain();
  EXPECT_EQ(p.box->answers.size(), 1u) << "each frame is answered once";
  settings = std::make_shared<actor_settings>(*settings);
  settings->slow_answer = seconds{60};
  p.role->replace_settings(settings);
  p.send({r});
  p.drain();
  ASSERT_EQ(p.box->answers.size(), 2u);
  EXPECT_EQ(p.keys(1).first_index, 0) << "no index was spent";
  EXPECT_TRUE(p.held.empty());
}

TEST(server_actors, answers_overloaded_after_a_failed_write_and_serves_the_next_request) {
  harness p;
  auto h = p.device(1);
  p.hold_writes = true;
  const auto r = encode(p.assignment(h));
  p.send({r});
  p.complete(false);
  p.drain();
  EXPECT_EQ(p.answer_status(0), link_status::overloaded);
  p.send({r});
  p.complete();
  p.drain();
  EXPECT_EQ(p.answer_status(1), link_status::ok);
}

TEST(server_actors, the_next_request_continues_from_a_failed_write_that_took_effect) {
  harness p;
  auto h = p.device(1);
  const auto r = encode(p.assignment(h));
  p.faulty.fail_writes(errc::store_write_failed, storage::fault_point::turns_up_later);
  p.send({r});
  EXPECT_EQ(p.answer_status(0), link_status::overloaded);
  const auto tried = p.faulty.writes();
  p.send({r});
  EXPECT_EQ(p.answer_status(1), link_status::overloaded);
  EXPECT_EQ(p.faulty.writes(), tried) << "nothing is decided while the content of the store is unknown";
  p.faulty.repair();
  p.send({r});
  ASSERT_EQ(p.answer_status(2), link_status::ok);
  EXPECT_EQ(p.faulty.writes(), tried) << "the set of the first request was found";
  const auto row = p.sealed->get(storage::table::entities, as_bytes(h.entity.text())).value();
  const auto record = protocol::decode_entity_record(row->expose()).value();
  ASSERT_EQ(record.sets.size(), 1u);
  EXPECT_EQ(p.keys(2).set, record.sets[0].set);
}

TEST(server_actors, a_report_whose_write_failed_is_reported_again) {
  harness p;
  auto h = p.device(1);
  p.send(p.assignment(h));
  protocol::epoch_report report;
  report.entries = {{h.entity, {1, 0}}};
  p.faulty.fail_writes(errc::store_write_failed, storage::fault_point::turns_up_later);
  p.send(p.request(report));
  p.send(p.request(report));
  EXPECT_EQ(p.answer_status(1), link_status::overloaded) << "none of its entries could be answered";
  EXPECT_EQ(p.answer_status(2), link_status::overloaded);
  p.faulty.repair();
  p.send(p.request(report));
  EXPECT_EQ(std::get<protocol::epoch_report_answer>(p.box->answers.at(3).body).entries.at(0).second,
            protocol::report_outcome::ok);
}

TEST(server_actors, refuses_the_jobs_of_a_dead_actor_and_continues_from_the_store) {
  harness p;
  auto h = p.device(1);
  p.hold_writes = true;
  const auto r = encode(p.assignment(h));
  p.send({r, encode(p.assignment(h))});
  ASSERT_EQ(p.held.size(), 1u);
  p.kill(h);
  ASSERT_EQ(p.box->answers.size(), 2u) << "both requests are refused with a retry";
  EXPECT_EQ(p.answer_status(0), link_status::overloaded);
  EXPECT_EQ(p.answer_status(1), link_status::overloaded);
  EXPECT_EQ(p.live(), 0u);

  p.send({r});
  ASSERT_EQ(p.held.size(), 2u) << "the next actor waits for the write of the one before";
  EXPECT_TRUE(p.held.back().batch.empty());
  const auto made =
      protocol::decode_entity_record(p.held.front().batch.at(0).value->expose()).value().sets.at(0).eukeys;
  p.complete();
  p.drain();
  EXPECT_EQ(p.box->answers.size(), 2u) << "the late outcome for the dead actor is ignored";
  p.complete();
  p.drain();
  ASSERT_EQ(p.box->answers.size(), 3u);
  EXPECT_EQ(p.keys(2).eukeys, made) << "the durable set is repeated, not made again";
}

/// Another server writes the row of the device.
void write_elsewhere(harness& p, const headset& h) {
  protocol::entity_record r;
  r.entity = h.entity;
  p.put(storage::table::entities, h.entity.text(), encode(r));
}

TEST(server_actors, decide_again_when_another_server_changed_the_row_first) {
  harness p;
  auto h = p.device(1);
  p.hold_writes = true;
  p.send(p.assignment(h));
  ASSERT_EQ(p.held.size(), 1u);
  write_elsewhere(p, h);
  p.complete();
  p.drain();
  EXPECT_TRUE(p.box->answers.empty()) << "nothing was written, so nothing is answered";
  ASSERT_EQ(p.held.size(), 1u) << "the change for the row as it is now";
  EXPECT_EQ(p.held.front().batch.at(0).expected, 1u);
  const auto made =
      protocol::decode_entity_record(p.held.front().batch.at(0).value->expose()).value().sets.at(0).eukeys;
  p.complete();
  p.drain();
  ASSERT_EQ(p.box->answers.size(), 1u);
  EXPECT_EQ(p.keys(0).eukeys, made);
}

TEST(server_actors, ask_the_gateway_to_come_again_after_too_many_lost_races) {
  harness p;
  auto h = p.device(1);
  p.hold_writes = true;
  p.send(p.assignment(h));
  for (int lost = 0; lost <= protocol::conflicts_max; ++lost) {
    ASSERT_EQ(p.held.size(), 1u) << lost;
    write_elsewhere(p, h);
    p.complete();
    p.drain();
  }
  ASSERT_EQ(p.box->answers.size(), 1u);
  EXPECT_EQ(p.answer_status(0), link_status::overloaded);
  p.hold_writes = false;
  p.send(p.assignment(h));
  EXPECT_EQ(p.answer_status(1), link_status::ok);
}

TEST(server_actors, does_not_call_a_row_damaged_that_cannot_be_read_after_a_lost_race) {
  server_tests::captured_log log;
  harness p;
  auto h = p.device(1);
  p.hold_writes = true;
  p.send(p.assignment(h));
  ASSERT_EQ(p.held.size(), 1u);
  write_elsewhere(p, h);
  p.faulty.fail_reads(errc::store_unavailable);
  p.complete();
  p.drain();
  ASSERT_EQ(p.box->answers.size(), 1u);
  EXPECT_EQ(p.answer_status(0), link_status::overloaded);
  EXPECT_NE(log.text().find("store-not-read"), std::string::npos);
  EXPECT_EQ(log.text().find("row-unreadable"), std::string::npos);
}

TEST(server_actors, evicts_idle_entities_and_keeps_busy_ones) {
  harness p;
  auto a = p.device(1), b = p.device(2);
  p.send(p.assignment(a));
  p.hold_writes = true;
  p.send(p.assignment(b));
  EXPECT_EQ(p.live(), 2u);
  p.advance(seconds{29});
  EXPECT_EQ(p.live(), 2u);
  p.advance(seconds{1});
  EXPECT_EQ(p.live(), 1u);
  p.advance(seconds{300});
  EXPECT_EQ(p.live(), 1u) << "its write is pending";
  p.complete();
  p.drain();
  EXPECT_EQ(p.box->answers.size(), 2u);
  p.advance(seconds{30});
  EXPECT_EQ(p.live(), 0u);
  p.hold_writes = false;
  p.send(p.assignment(a));
  EXPECT_EQ(p.keys(2).set, p.keys(0).set) << "it is loaded from the store";
  EXPECT_EQ(p.keys(2).first_index, 32);
}

TEST(server_actors, idle_entities_cost_no_timer_and_no_actor) {
  harness p;
  auto h = p.device(1);
  p.send(p.assignment(h));
  const auto before = p.system.registry().running();
  p.advance(seconds{60});
  EXPECT_EQ(p.system.registry().running(), before - 1);
  p.scheduler.clock().trigger_timeouts();  // of the session, which looked for slow requests once
  p.drain();
  EXPECT_TRUE(p.scheduler.clock().schedule().empty());
}

TEST(server_actors, bounds_the_entities_in_memory) {
  harness p{2};
  auto a = p.device(1), b = p.device(2), c = p.device(3);
  p.hold_writes = true;
  p.send({encode(p.assignment(a)), encode(p.assignment(b)), encode(p.assignment(c))});
  ASSERT_EQ(p.box->answers.size(), 1u);
  EXPECT_EQ(p.answer_status(0), link_status::overloaded);
  p.complete();
  p.drain();
  p.send(p.assignment(c));
  EXPECT_EQ(p.live(), 2u) << "the idle one was evicted";
  p.complete();
  p.complete();
  p.drain();
  ASSERT_EQ(p.box->answers.size(), 4u);
  for (std::size_t i = 1; i < 4; ++i) EXPECT_EQ(p.answer_status(i), link_status::ok);
}

TEST(server_actors, bounds_the_pending_requests_of_one_entity) {
  harness p;
  auto h = p.device(1);
  p.hold_writes = true;
  std::vector<bytes> many;
  for (std::size_t i = 0; i < p.role->settings()->jobs_per_entity + 3; ++i)
    many.push_back(encode(p.assignment(h)));
  p.send(many);
  EXPECT_EQ(p.box->answers.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(p.answer_status(i), link_status::overloaded);
  while (!p.held.empty()) {
    p.complete();
    p.drain();
  }
  EXPECT_EQ(p.box->answers.size(), many.size()) << "every frame is answered once";
}

TEST(server_actors, answers_a_report_after_all_entries_and_leaves_out_those_not_stored) {
  harness p;
  auto a = p.device(1), b = p.device(2);
  p.send({encode(p.assignment(a)), encode(p.assignment(b))});
  protocol::epoch_report report;
  report.entries = {{a.entity, {1, 0}}, {b.entity, {1, 0}}, {p.device(3).entity, {1, 0}}};
  p.hold_writes = true;
  p.send(p.request(report));
  ASSERT_EQ(p.held.size(), 2u);
  p.complete();
  p.drain();
  EXPECT_EQ(p.box->answers.size(), 2u);
  p.complete(false);
  p.drain();
  ASSERT_EQ(p.box->answers.size(), 3u);
  const auto& done = std::get<protocol::epoch_report_answer>(p.box->answers[2].body).entries;
  ASSERT_EQ(done.size(), 2u);
  EXPECT_EQ(done[0], std::pair(a.entity, protocol::report_outcome::ok));
  EXPECT_EQ(done[1].second, protocol::report_outcome::resync);
}

TEST(server_actors, a_session_that_ends_closes_its_connection_and_a_closed_connection_ends_its_session) {
  harness p;
  caf::anon_send_exit(p.gateway, caf::exit_reason::unhandled_exception);
  p.drain();
  EXPECT_EQ(p.box->closed.size(), 1u);
  auto box = std::make_shared<inbox>();
  auto other = p.system.spawn(session, p.role, peer_info{p.gw, "urn:cpns:gw:phone", "test", p.exporter}, box);
  p.drain();
  const auto before = p.system.registry().running();
  caf::anon_send(other, link_closed{});
  p.drain();
  EXPECT_EQ(p.system.registry().running(), before - 1);
}

TEST(server_actors, drops_an_answer_for_a_closed_connection) {
  harness p;
  auto h = p.device(1);
  p.hold_writes = true;
  p.send(p.assignment(h));
  caf::anon_send(p.gateway, link_closed{});
  p.drain();
  p.complete();
  p.drain();
  EXPECT_TRUE(p.box->answers.empty());
  p.advance(seconds{60});
  EXPECT_EQ(p.live(), 0u);
}

TEST(server_actors, the_end_of_the_dispatcher_ends_every_entity) {
  harness p;
  auto a = p.device(1), b = p.device(2);
  p.send({encode(p.assignment(a)), encode(p.assignment(b))});
  EXPECT_EQ(p.live(), 2u);
  const auto before = p.system.registry().running();
  caf::anon_send_exit(p.root, caf::exit_reason::user_shutdown);
  p.drain();
  EXPECT_EQ(p.system.registry().running(), before - 3);
}

TEST(server_actors, every_answer_has_the_incarnation_and_the_current_issuer_nonce) {
  harness p;
  p.send(p.request(protocol::issuer_nonce_request{}));
  p.now += seconds{60};
  p.send(p.request(protocol::user_challenge{p.alice.user}));
  ASSERT_EQ(p.box->answers.size(), 2u);
  const auto expected = [&p](std::uint64_t slot) {
    return crypto::derive_issuer_nonce(suite(), p.role->settings()->assignment.issuer_key, p.gw, slot);
  };
  EXPECT_EQ(p.box->answers[0].issuer_nonce, expected(30'000'000));
  EXPECT_EQ(p.box->answers[1].issuer_nonce, expected(30'000'001));
  EXPECT_EQ(p.box->answers[1].incarnation, 1u);
  EXPECT_EQ(std::get<protocol::user_challenge_answer>(p.box->answers[1].body).salt, p.alice.record.salt);
}

}  // namespace
}  // namespace cpns::server_actor_tests
