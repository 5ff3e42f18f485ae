// Release and block against requests that are in work, one step at a time.
#include "server/administration.hpp"
#include "tests/actors/server_harness.hpp"

namespace cpns::server_actor_tests {
namespace {

using outcome = std::future<result<released_entity>>;

outcome release(harness& p, const headset& h, const std::optional<gateway_id>& only_from = {}) {
  auto reply = std::make_shared<release_reply>();
  auto out = reply->outcome();
  auto j = std::make_shared<job>();
  j->number = p.role->next_number++;
  j->entity = h.entity;
  j->from = std::make_shared<const peer_info>(peer_info{{}, "administration", {}, {}});
  j->what = job::release{std::move(reply), only_from};
  caf::anon_send(p.root, do_job{std::move(j)});
  p.drain();
  return out;
}

bool is_there(outcome& o) { return o.wait_for(seconds{0}) == std::future_status::ready; }

protocol::entity_record row_of(harness& p, const headset& h) {
  const auto row = p.sealed->get(storage::table::entities, as_bytes(h.entity.text())).value();
  return protocol::decode_entity_record(row->expose()).value();
}

void set_blocked(harness& p, const gateway_id& gw, std::int64_t since) {
  p.role->known_gateways.set_blocked(gw, {}, since, [](const status& s) { ASSERT_TRUE(s); });
}

TEST(server_release, waits_for_the_request_in_work_and_keeps_its_keys) {
  harness p;
  auto h = p.device(1);
  p.hold_writes = true;
  p.send(p.assignment(h));
  auto released = release(p, h);
  ASSERT_EQ(p.held.size(), 1u) << "one write of an entity at a time";
  EXPECT_FALSE(is_there(released));
  p.complete();
  p.drain();
  EXPECT_EQ(p.answer_status(0), link_status::ok);
  ASSERT_EQ(p.held.size(), 1u);
  EXPECT_FALSE(is_there(released)) << "announced only when it is durable";
  p.complete();
  p.drain();
  ASSERT_TRUE(is_there(released));
  const auto done = released.get();
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(done->holder, p.gw);
  EXPECT_FALSE(row_of(p, h).holder.has_value());
  EXPECT_EQ(row_of(p, h).sets.at(0).set, p.keys(0).set);
}

TEST(server_release, is_used_by_the_request_that_waits_behind_it) {
  harness p;
  auto h = p.device(1);
  p.send(p.assignment(h));
  ASSERT_EQ(p.answer_status(0), link_status::ok);
  auto kitchen = p.join("urn:cpns:gw:kitchen");
  p.hold_writes = true;
  auto released = release(p, h);
  p.send(kitchen, {encode(p.assignment(h, p.alice, kitchen.gw))});
  p.complete();
  p.drain();
  p.complete_all();
  EXPECT_TRUE(is_there(released));
  ASSERT_EQ(kitchen.box->answers.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<protocol::assigned_keys>(kitchen.box->answers[0].body))
      << "the other gateway of the user is the holder now";
  EXPECT_EQ(row_of(p, h).holder, kitchen.gw);
}

TEST(server_release, from_one_gateway_leaves_a_device_that_another_one_took_meanwhile) {
  harness p;
  auto h = p.device(1);
  p.send(p.assignment(h));
  ASSERT_EQ(p.answer_status(0), link_status::ok);
  auto kitchen = p.join("urn:cpns:gw:kitchen");
  ASSERT_TRUE(release(p, h).get());
  p.send(kitchen, {encode(p.assignment(h, p.alice, kitchen.gw))});
  ASSERT_EQ(row_of(p, h).holder, kitchen.gw);
  auto late = release(p, h, p.gw);
  EXPECT_EQ(late.get().error().code, errc::state_unknown);
  EXPECT_EQ(row_of(p, h).holder, kitchen.gw);
  EXPECT_TRUE(release(p, h, kitchen.gw).get());
}

TEST(server_release, of_a_page_takes_no_longer_than_one_change) {
  harness p;
  for (int i = 0; i < 20; ++i) {
    protocol::entity_record r;
    r.entity = p.device(i).entity;
    r.holder = p.gw;
    p.put(storage::table::entities, r.entity.text(), encode(r));
  }
  constexpr milliseconds change_time{100};
  administration admin{*p.role, change_time};
  const auto began = steady::now();
  const auto page = admin.release_held_by(p.gw, {});  // no actor runs
  EXPECT_EQ(page.error().code, errc::peer_timeout);
  EXPECT_LT(steady::now() - began, 10 * change_time) << "20 times that, if each one waited";
  p.drain();
}

TEST(server_release, fails_with_its_write_and_leaves_the_holder) {
  harness p;
  auto h = p.device(1);
  p.send(p.assignment(h));
  p.hold_writes = true;
  auto released = release(p, h);
  p.complete(false);
  p.drain();
  ASSERT_TRUE(is_there(released));
  EXPECT_EQ(released.get().error().code, errc::store_write_failed);
  EXPECT_EQ(row_of(p, h).holder, p.gw);
  auto again = release(p, h);
  p.complete_all();
  EXPECT_TRUE(again.get().has_value());
}

TEST(server_release, finds_no_holder_without_a_write) {
  harness p;
  auto h = p.device(1);
  p.hold_writes = true;
  auto released = release(p, h);
  EXPECT_TRUE(p.held.empty());
  ASSERT_TRUE(is_there(released));
  EXPECT_EQ(released.get().error().code, errc::state_unknown);
}

TEST(server_release, is_answered_once_if_the_actor_of_the_entity_dies) {
  harness p;
  auto h = p.device(1);
  p.send(p.assignment(h));
  p.hold_writes = true;
  auto released = release(p, h);
  p.kill(h);
  ASSERT_TRUE(is_there(released));
  EXPECT_EQ(released.get().error().code, errc::state_overloaded);
  p.hold_writes = false;
  p.complete_all();
  EXPECT_EQ(release(p, h).get().error().code, errc::state_unknown) << "its write was done all the same";
}

TEST(server_block, keeps_back_keys_whose_request_was_in_work) {
  harness p;
  auto h = p.device(1);
  p.hold_writes = true;
  p.send(p.assignment(h));
  set_blocked(p, p.gw, 1);
  ASSERT_EQ(p.held.size(), 2u);
  std::swap(p.held[0], p.held[1]);
  p.complete_all();
  EXPECT_EQ(p.answer_status(0), link_status::gateway_blocked);
}

TEST(server_block, begins_when_it_is_durable_and_concerns_one_gateway) {
  harness p;
  auto a = p.device(1), b = p.device(2), c = p.device(3);
  auto kitchen = p.join("urn:cpns:gw:kitchen");
  p.hold_writes = true;
  set_blocked(p, p.gw, 1);
  EXPECT_FALSE(p.role->known_gateways.blocked(p.gw));
  p.complete_all();
  EXPECT_TRUE(p.role->known_gateways.blocked(p.gw));
  p.hold_writes = false;
  p.send(p.assignment(a));
  EXPECT_EQ(p.answer_status(0), link_status::gateway_blocked);
  EXPECT_EQ(p.live(), 0u) << "no actor was made for it";
  p.send(kitchen, {encode(p.assignment(b, p.alice, kitchen.gw))});
  EXPECT_TRUE(std::holds_alternative<protocol::assigned_keys>(kitchen.box->answers.at(0).body));
  set_blocked(p, p.gw, 0);
  p.send(p.assignment(c));
  EXPECT_EQ(p.answer_status(1), link_status::ok);
}

TEST(server_block, is_kept_by_the_note_of_a_connection_that_overtakes_it) {
  harness p;
  const auto garden = gateway_named("urn:cpns:gw:garden");
  p.hold_writes = true;
  set_blocked(p, garden, 1);
  auto joined = p.join("urn:cpns:gw:garden");
  ASSERT_EQ(p.held.size(), 1u) << "the note of the connection waits for the block";
  p.complete_all();
  EXPECT_TRUE(p.role->known_gateways.blocked(garden));
  gateway_book restarted{*p.sealed, {}};
  ASSERT_TRUE(restarted.load());
  EXPECT_TRUE(restarted.blocked(garden));
  EXPECT_EQ(restarted.find(garden)->value().uri, "urn:cpns:gw:garden");
}

TEST(server_changes, wait_for_an_earlier_one_whose_caller_gave_up) {
  harness p;
  administration admin{*p.role, milliseconds{20}};
  headset h{"urn:dev:os:32473-77"};
  auto other = h.imported();
  other.batch = "the second";
  p.hold_writes = true;
  EXPECT_EQ(admin.add_device(h.imported()).error().code, errc::peer_timeout) << "it may be made later";
  EXPECT_EQ(admin.add_device(other).error().code, errc::state_overloaded);
  EXPECT_EQ(p.held.size(), 1U) << "the second would overwrite the first";
  p.complete();
  p.hold_writes = false;
  EXPECT_EQ(admin.add_device(other).error().code, errc::state_exists);
  EXPECT_EQ(find_device(*p.sealed, h.entity)->value().batch, h.imported().batch);
}

}  // namespace
}  // namespace cpns::server_actor_tests
