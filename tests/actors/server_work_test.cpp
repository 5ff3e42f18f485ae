// Work that a gateway can cause at the server, and its effect on other gateways.
#include "tests/actors/server_harness.hpp"
#include "tests/unit/server/captured_log.hpp"

namespace cpns::server_actor_tests {
namespace {

protocol::epoch_report report_of(const std::vector<headset>& devices) {
  protocol::epoch_report r;
  for (const auto& d : devices) r.entries.emplace_back(d.entity, epoch{1, 0});
  return r;
}

/// A report of Entity IDs that were not imported.
protocol::epoch_report invented(std::size_t entries) {
  protocol::epoch_report r;
  for (std::size_t i = 0; i < entries; ++i)
    r.entries.emplace_back(entity_id::parse("urn:dev:os:1-" + std::to_string(i)).value(), epoch{1, 0});
  return r;
}

/// Devices for which the gateway of the harness has keys.
std::vector<headset> keyed(harness& p, int count) {
  std::vector<headset> out;
  for (int i = 0; i < count; ++i) {
    out.push_back(p.device(i));
    p.send(p.assignment(out.back()));
  }
  EXPECT_EQ(p.box->answers.size(), static_cast<std::size_t>(count));
  p.box->answers.clear();
  return out;
}

std::size_t times(const std::string& text, std::string_view what) {
  std::size_t n = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

TEST(server_work, answers_a_report_of_invented_names_without_an_actor) {
  harness p;
  p.send(p.request(invented(256)));
  ASSERT_EQ(p.box->answers.size(), 1u);
  const auto& done = std::get<protocol::epoch_report_answer>(p.box->answers[0].body).entries;
  ASSERT_EQ(done.size(), 256u);
  for (const auto& e : done) EXPECT_EQ(e.second, protocol::report_outcome::resync);
  EXPECT_EQ(p.live(), 0u);
  EXPECT_EQ(p.role->work->total(), 0u);
}

TEST(server_work, refuses_invented_names_and_wrong_proofs_without_an_actor) {
  harness p;
  headset stranger{"urn:dev:os:32473-999"};
  p.send(p.assignment(stranger));
  EXPECT_EQ(p.answer_status(0), link_status::unknown_entity);
  const person wrong{"alice@example.org", "another horse"};
  p.send(p.assignment(stranger, wrong, p.gw));
  EXPECT_EQ(p.answer_status(1), link_status::unknown_user_or_bad_proof) << "the proof is checked first";
  auto known = p.device(1);
  p.send(p.assignment(known, wrong, p.gw));
  EXPECT_EQ(p.answer_status(2), link_status::unknown_user_or_bad_proof);
  EXPECT_EQ(p.live(), 0u);
}

TEST(server_work, processes_few_entries_of_a_report_at_a_time_and_answers_all) {
  harness p;
  auto devices = keyed(p, 40);
  auto hall = p.join("urn:cpns:gw:hall");
  p.hold_writes = true;
  p.send(p.request(report_of(devices)));
  EXPECT_EQ(p.held.size(), entries_at_once);
  auto late = p.device(99);
  p.send(hall, {encode(p.assignment(late, p.alice, hall.gw))});
  EXPECT_EQ(p.held.size(), entries_at_once + 1) << "another gateway does not wait for the report";
  p.complete_all();
  EXPECT_EQ(status_of(hall, 0), link_status::ok);
  ASSERT_EQ(p.box->answers.size(), 1u);
  const auto& done = std::get<protocol::epoch_report_answer>(p.box->answers[0].body).entries;
  ASSERT_EQ(done.size(), devices.size());
  for (const auto& e : done) EXPECT_EQ(e.second, protocol::report_outcome::ok);
  EXPECT_EQ(p.role->work->total(), 0u);
}

TEST(server_work, a_report_with_many_entries_of_one_device_loses_none) {
  harness p;
  auto devices = keyed(p, 1);
  protocol::epoch_report r;
  for (std::uint16_t i = 0; i < 30; ++i) r.entries.emplace_back(devices[0].entity, epoch{1, i});
  p.send(p.request(std::move(r)));
  ASSERT_EQ(p.box->answers.size(), 1u);
  EXPECT_EQ(std::get<protocol::epoch_report_answer>(p.box->answers[0].body).entries.size(), 30u);
}

TEST(server_work, bounds_the_jobs_of_one_gateway_over_all_of_its_connections) {
  harness p;
  p.bound_jobs(1000, 50);
  auto devices = keyed(p, 40);
  auto other = p.device(77);
  p.hold_writes = true;
  p.send(p.request(report_of(devices)));
  EXPECT_EQ(p.role->work->total(), 40u) << "every entry counts";
  auto second = p.join("urn:cpns:gw:phone");
  p.send(second, {encode(p.request(report_of(devices))), encode(p.assignment(other))});
  ASSERT_EQ(second.box->answers.size(), 1u);
  EXPECT_EQ(status_of(second, 0), link_status::overloaded);
  EXPECT_GT(std::get<refusal>(second.box->answers[0].body).retry_after, 0u);
  auto hall = p.join("urn:cpns:gw:hall");
  auto its = p.device(78);
  p.send(hall, {encode(p.assignment(its, p.alice, hall.gw))});
  EXPECT_TRUE(hall.box->answers.empty()) << "accepted";
  // Waiting entries end with the connection; entries in progress stay counted until done.
  caf::anon_send(p.gateway, link_closed{});
  p.drain();
  EXPECT_EQ(p.role->work->total(), entries_at_once + 2);
  p.complete_all();
  EXPECT_EQ(p.role->work->total(), 0u);
  EXPECT_EQ(status_of(second, 1), link_status::ok);
  EXPECT_EQ(status_of(hall, 0), link_status::ok);
  p.hold_writes = false;
  p.send(second, {encode(p.request(report_of(devices)))});
  EXPECT_EQ(status_of(second, 2), link_status::ok);
}

TEST(server_work, bounds_the_jobs_of_all_gateways) {
  harness p;
  p.bound_jobs(60, 50);
  auto devices = keyed(p, 40);
  p.hold_writes = true;
  p.send(p.request(report_of(devices)));
  auto hall = p.join("urn:cpns:gw:hall");
  p.send(hall, {encode(p.request(report_of(devices)))});
  ASSERT_EQ(hall.box->answers.size(), 1u);
  EXPECT_EQ(status_of(hall, 0), link_status::overloaded);
  p.complete_all();
  EXPECT_EQ(p.role->work->total(), 0u);
}

TEST(server_work, evicts_the_least_recently_used_idle_entity_however_many_are_busy) {
  harness p{50};
  p.hold_writes = true;
  std::vector<headset> busy;
  for (int i = 0; i < 47; ++i) {
    busy.push_back(p.device(i));
    p.send(p.assignment(busy.back()));
  }
  p.hold_writes = false;
  const auto writes = std::exchange(p.held, {});
  std::vector<headset> idle{p.device(100), p.device(101), p.device(102)};
  for (auto& h : idle) p.send(p.assignment(h));
  p.send(p.assignment(idle[0]));
  EXPECT_EQ(p.inside().busy.size(), 47u);
  EXPECT_EQ(p.inside().idle.size(), 3u);
  auto fresh = p.device(200);
  p.send(p.assignment(fresh));
  EXPECT_EQ(p.live(), 50u);
  EXPECT_EQ(p.inside().by_entity.count(idle[1].entity), 0u) << "its last use was the first of the three";
  EXPECT_EQ(p.inside().by_entity.count(idle[0].entity), 1u);
  for (const auto& w : writes) w.done(fail(errc::store_full, "test"));
  p.drain();
  EXPECT_TRUE(p.inside().busy.empty());
}

TEST(server_work, delays_a_gateway_after_wrong_proofs_and_no_other) {
  harness p;
  auto h = p.device(1);
  const person wrong{"alice@example.org", "another horse"};
  const auto free_ones = protocol::proof_delays::free_proofs;
  for (std::uint32_t i = 0; i <= free_ones; ++i) p.send(p.assignment(h, wrong, p.gw));
  for (std::uint32_t i = 0; i <= free_ones; ++i)
    EXPECT_EQ(p.answer_status(i), link_status::unknown_user_or_bad_proof);
  p.box->answers.clear();
  p.send(p.assignment(h, wrong, p.gw));
  ASSERT_EQ(p.answer_status(0), link_status::throttled);
  EXPECT_EQ(std::get<refusal>(p.box->answers[0].body).retry_after, 1u);
  p.send(p.assignment(h));
  EXPECT_EQ(p.answer_status(1), link_status::throttled) << "a correct proof is not checked either";

  auto hall = p.join("urn:cpns:gw:hall");
  auto other = p.device(2);
  p.send(hall, {encode(p.assignment(other, p.alice, hall.gw))});
  EXPECT_EQ(status_of(hall, 0), link_status::ok) << "the same user at another gateway";

  p.advance(seconds{1});
  p.send(p.assignment(h));
  EXPECT_EQ(p.answer_status(2), link_status::ok);
  p.send(p.assignment(h, wrong, p.gw));
  EXPECT_EQ(p.answer_status(3), link_status::unknown_user_or_bad_proof) << "a correct proof ends the delay";
}

TEST(server_work, answers_all_requests_for_an_unreadable_user_alike) {
  harness p;
  auto h = p.device(1);
  p.put(storage::table::users, p.alice.user.text(), secret_bytes::from_text("not a record"));
  for (int i = 0; i < 6; ++i) p.send(p.assignment(h));
  p.send(p.request(protocol::user_challenge{p.alice.user}));
  ASSERT_EQ(p.box->answers.size(), 7u);
  for (std::size_t i = 0; i < 7; ++i) {
    EXPECT_EQ(p.answer_status(i), link_status::internal) << "and never a wrong password, at " << i;
    EXPECT_EQ(std::get<refusal>(p.box->answers[i].body).retry_after, 60u);
  }
  p.faulty.fail_reads(errc::store_unavailable);
  p.send({encode(p.assignment(h)), encode(p.request(protocol::user_challenge{p.alice.user}))});
  for (std::size_t i = 7; i < 9; ++i) EXPECT_EQ(p.answer_status(i), link_status::overloaded);
  p.faulty.repair();
}

TEST(server_work, reports_two_active_connections_of_one_identity_once) {
  harness p;
  server_tests::captured_log log;
  const auto asks = [&p](const harness::connection& c) {
    p.send(c, {encode(p.request(protocol::issuer_nonce_request{}))});
  };
  auto old = p.join("urn:cpns:gw:hall", "192.0.2.1:1");
  asks(old);
  auto next = p.join("urn:cpns:gw:hall", "192.0.2.2:2");
  asks(next);
  asks(next);
  EXPECT_EQ(times(log.text(), "gateway-connected-twice"), 0u) << "a gateway that reconnected";
  for (int i = 0; i < 5; ++i) {
    asks(old);
    asks(next);
  }
  EXPECT_EQ(times(log.text(), "gateway-connected-twice"), 1u);
  EXPECT_NE(log.text().find("\"peer\":\"192.0.2.1:1\",\"other\":\"192.0.2.2:2\""), std::string::npos)
      << log.text();
  p.advance(gateway_register::report_interval);
  asks(old);
  EXPECT_EQ(times(log.text(), "gateway-connected-twice"), 2u);
  p.leave(old);
  p.leave(next);
}

TEST(server_work, bounds_the_connections_of_one_identity_and_keeps_the_newest) {
  harness p;
  std::vector<harness::connection> all;
  for (std::size_t i = 0; i <= gateway_register::connections_max; ++i)
    all.push_back(p.join("urn:cpns:gw:hall"));
  EXPECT_EQ(all[0].box->closed.size(), 1u);
  for (std::size_t i = 1; i < all.size(); ++i) EXPECT_TRUE(all[i].box->closed.empty());
  for (auto& c : all) p.leave(c);
  auto again = p.join("urn:cpns:gw:hall");
  EXPECT_TRUE(again.box->closed.empty());
  p.leave(again);
}

TEST(server_work, bounds_and_counts_the_log_lines_about_refusals) {
  harness p;
  server_tests::captured_log log;
  headset stranger{"urn:dev:os:32473-999"};
  for (int i = 0; i < 100; ++i) {
    p.send(p.assignment(stranger));
    p.send({bytes{1, 2, 3}});
  }
  EXPECT_EQ(times(log.text(), "assignment-refused") + times(log.text(), "bad-request"), refusal_log::lines);
  auto hall = p.join("urn:cpns:gw:hall");
  p.send(hall, {encode(p.assignment(stranger, p.alice, hall.gw))});
  EXPECT_EQ(times(log.text(), "\"gateway\":\"urn:cpns:gw:hall\""), 1u)
      << "another gateway has its own budget";
  p.advance(refusal_log::period);
  EXPECT_NE(log.text().find("\"gateway\":\"urn:cpns:gw:phone\",\"lines\":\"180\""), std::string::npos)
      << log.text();
  p.leave(hall);
}

}  // namespace
}  // namespace cpns::server_actor_tests
