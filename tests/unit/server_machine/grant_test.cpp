// The keys that the server hands out, and those that it forgets after a report.
#include "tests/unit/server_machine/harness.hpp"

namespace cpns::testing_people {
namespace {

key_assignment_request refill(const harness& w, const assigned_keys& k, epoch known) {
  auto r = make_request(w.alice, w.device, assignment_reason::refill, std::nullopt);
  r.known_epoch = known;
  r.set = k.set;
  return r;
}

TEST(refill, continues_after_the_last_index_that_the_gateway_holds) {
  harness w;
  const auto keys = w.first();
  const auto more = keys_of(w.send(refill(w, keys, {1, 31})));
  EXPECT_EQ(more.generation, 1u);
  EXPECT_EQ(more.set, keys.set);
  EXPECT_EQ(more.first_index, 32);
  EXPECT_EQ(more.eukeys.size(), 32u);
  EXPECT_FALSE(more.chain.has_value());
  EXPECT_EQ(w.record().sets.at(0).next_index, 64u);
}

TEST(refill, repeats_lost_keys_and_never_makes_a_second_key_for_an_index) {
  harness w;
  const auto keys = w.first();
  const auto lost = keys_of(w.send(refill(w, keys, {1, 31})));
  const auto again = keys_of(w.send(refill(w, keys, {1, 31})));
  EXPECT_EQ(again.eukeys, lost.eukeys);
  const auto part = keys_of(w.send(refill(w, keys, {1, 47})));
  EXPECT_EQ(part.first_index, 48);
  ASSERT_EQ(part.eukeys.size(), 32u);
  for (std::size_t i = 0; i < 16; ++i) EXPECT_EQ(part.eukeys[i], lost.eukeys[16 + i]);
}

TEST(refill, with_an_answer_of_the_device_is_chained) {
  harness w;
  const auto keys = w.first();
  w.deliver(keys, 7);
  auto r = w.ask(assignment_reason::refill);
  r.known_epoch = epoch{1, 31};
  r.set = keys.set;
  const auto more = keys_of(w.send(r));
  ASSERT_TRUE(more.chain.has_value());
  EXPECT_EQ(*more.chain, crypto::derive_chain(suite(), keys.eukeys[7], w.gw, 1));
}

TEST(refill, requires_the_holder_and_a_known_set) {
  harness w;
  const auto keys = w.first();
  EXPECT_EQ(status_of(w.send(refill(w, keys, {1, 31}), w.alice, w.other_gw, w.random.draw_id<request_id>())),
            link_status::held_by_other);
  auto r = refill(w, keys, {1, 31});
  r.set = set_id{};
  EXPECT_EQ(status_of(w.send(r)), link_status::stale_nonce) << "neither set nor exchange proves it";
  r.set.reset();
  EXPECT_EQ(status_of(w.send(r)), link_status::stale_nonce);
  EXPECT_EQ(status_of(w.send(refill(w, keys, {1, 31}), w.bob, w.gw, w.random.draw_id<request_id>())),
            link_status::unknown_user_or_bad_proof);
}

TEST(refill, of_another_set_with_the_same_number_opens_a_new_generation_once_the_device_answers) {
  harness w;
  w.first();
  auto r = w.ask(assignment_reason::refill);
  r.known_epoch = epoch{1, 31};
  r.set = set_id{};
  EXPECT_EQ(keys_of(w.send(r)).generation, 2u);
}

TEST(refill, after_an_index_that_was_never_issued_opens_a_new_generation) {
  harness w;
  const auto keys = w.first();
  const auto next = keys_of(w.send(refill(w, keys, {1, 40})));
  EXPECT_EQ(next.generation, 2u);
  EXPECT_EQ(next.first_index, 0);
  EXPECT_NE(next.set, keys.set);
}

TEST(refill, after_the_last_index_opens_a_new_generation) {
  harness w;
  const auto keys = w.first();
  auto r = w.record();
  auto& set = r.sets.at(0);
  set.first_index = 65'500;
  set.next_index = 65'532;
  w.row = encode(r);
  w.restart();
  const auto last = keys_of(w.send(refill(w, keys, {1, 65'531})));
  EXPECT_EQ(last.generation, 1u);
  EXPECT_EQ(last.first_index, 65'532);
  EXPECT_EQ(last.eukeys.size(), 3u);
  EXPECT_EQ(keys_of(w.send(refill(w, keys, {1, 65'534}))).generation, 2u);
}

TEST(refill, of_an_expired_set_opens_a_new_generation) {
  harness w;
  const auto keys = w.first();
  w.now += w.settings.set_lifetime + seconds{1};
  EXPECT_EQ(keys_of(w.send(refill(w, keys, {1, 31}))).generation, 2u);
}

TEST(recover, opens_a_new_generation_chained_with_the_devices_key) {
  harness w;
  const auto keys = w.first();
  w.deliver(keys, 0);
  w.report({1, 0});
  const auto next = keys_of(w.send(w.ask(assignment_reason::recover)));
  EXPECT_EQ(next.generation, 2u);
  ASSERT_TRUE(next.chain.has_value());
  EXPECT_EQ(*next.chain, crypto::derive_chain(suite(), keys.eukeys[0], w.gw, 2));
  EXPECT_EQ(next.owner, keys.owner);
}

TEST(recover, of_a_device_with_another_key_is_not_chained) {
  harness w;
  w.first();
  w.report({1, 0});
  w.device.keep({1, 0}, w.random.draw_secret<32>());
  EXPECT_FALSE(keys_of(w.send(w.ask(assignment_reason::recover))).chain.has_value());
  EXPECT_TRUE(w.saw("possession-bad"));
}

TEST(recover, goes_above_the_generations_of_device_and_gateway) {
  harness w;
  w.first();
  w.report({1, 0});
  auto r = w.ask(assignment_reason::recover);
  r.known_epoch = epoch{9, 3};
  EXPECT_EQ(keys_of(w.send(r)).generation, 10u);
  w.device.keep({20, 0}, w.random.draw_secret<32>());
  EXPECT_EQ(keys_of(w.send(w.ask(assignment_reason::recover))).generation, 21u);
}

TEST(recover, is_refused_when_it_would_skip_more_than_256_generations) {
  harness w;
  w.first();
  w.report({1, 0});
  auto r = w.ask(assignment_reason::recover);
  r.known_epoch = epoch{256, 0};
  EXPECT_EQ(keys_of(w.send(r)).generation, 257u);
  w.report({257, 0});
  r = w.ask(assignment_reason::recover);
  r.known_epoch = epoch{513, 0};
  const auto no = w.send(r);
  EXPECT_EQ(status_of(no), link_status::bad_request);
  EXPECT_EQ(std::get<refusal>(no).retry_after, 0u);
}

TEST(same_set, continues_after_the_last_issued_index_for_a_gateway_that_does_not_hold_it) {
  harness w;
  const auto keys = w.first();
  for (int lost = 1; lost < 32; ++lost) {
    const auto more = keys_of(w.send(w.ask(assignment_reason::first)));
    EXPECT_EQ(more.generation, 1u) << "a retry burns no generation";
    EXPECT_EQ(more.set, keys.set);
    ASSERT_EQ(more.first_index, 32 * lost) << "an index that may be in a KDEL already is not repeated";
    EXPECT_EQ(more.eukeys.size(), 32u);
  }
  EXPECT_EQ(keys_of(w.send(w.ask(assignment_reason::first))).generation, 2u)
      << "a set has at most 1,024 keys";
}

TEST(same_set, ends_when_a_key_of_it_is_reported) {
  harness w;
  w.first();
  w.report({1, 0});
  EXPECT_EQ(keys_of(w.send(w.ask(assignment_reason::first))).generation, 2u);
}

TEST(same_set, carries_the_chain_for_the_devices_latest_answer) {
  harness w;
  const auto old = w.first();
  w.deliver(old, 3);
  w.report({1, 3});
  const auto a = keys_of(w.send(w.ask(assignment_reason::recover)));
  const auto b = keys_of(w.send(w.ask(assignment_reason::recover)));
  EXPECT_EQ(a.set, b.set);
  EXPECT_EQ(b.first_index, 32);
  ASSERT_TRUE(b.chain.has_value());
  EXPECT_EQ(*b.chain, crypto::derive_chain(suite(), old.eukeys[3], w.gw, 2));
}

TEST(same_set, is_extended_for_a_gateway_that_holds_all_of_it) {
  harness w;
  const auto keys = w.first();
  auto r = w.ask(assignment_reason::recover);
  r.known_epoch = epoch{1, 31};
  r.set = keys.set;
  const auto more = keys_of(w.send(r));
  EXPECT_EQ(more.generation, 1u);
  EXPECT_EQ(more.first_index, 32);
  EXPECT_EQ(more.eukeys.size(), 32u);
}

TEST(same_set, is_not_given_to_a_gateway_that_lost_its_disk_after_a_delivery) {
  harness w;
  const auto keys = w.first();
  w.deliver(keys, 2);
  const auto next = keys_of(w.send(w.ask(assignment_reason::recover)));
  EXPECT_EQ(next.generation, 2u) << "the delivered indexes are unknown";
  EXPECT_EQ(*next.chain, crypto::derive_chain(suite(), keys.eukeys[2], w.gw, 2));
}

/// Requests a set of a new generation.
harness::body ask_for_another(harness& w) {
  auto r = w.ask(assignment_reason::recover);
  const auto& sets = w.record().sets;
  r.known_epoch = epoch{sets.empty() ? 0 : sets.back().generation, 0};
  r.set = set_id{};
  return w.send(r);
}

TEST(bounds, sets_without_any_report_are_bounded) {
  harness w;
  w.settings.set_size = 1;
  w.settings.require_presence = false;
  w.restart();
  w.device.temporary_key = secret32{};  // it proves nothing
  for (int i = 0; i < 16; ++i) ASSERT_EQ(status_of(ask_for_another(w)), link_status::ok);
  EXPECT_EQ(status_of(ask_for_another(w)), link_status::throttled);
  EXPECT_TRUE(w.saw("throttled"));
  EXPECT_EQ(w.record().sets.size(), 16u);
}

TEST(bounds, a_full_list_evicts_the_oldest_set_of_which_the_device_holds_no_key) {
  harness w;
  w.settings.set_size = 1;
  w.restart();
  const auto first = w.first();
  for (int i = 0; i < 39; ++i) {
    if (i == 5) w.deliver(first, 0);
    ASSERT_EQ(status_of(ask_for_another(w)), link_status::ok) << i;
  }
  const auto& sets = w.record().sets;
  EXPECT_EQ(sets.size(), 16u);
  EXPECT_EQ(sets.front().generation, 1u) << "the device holds a key of it";
  EXPECT_EQ(sets[1].generation, 26u);
  EXPECT_EQ(sets.back().generation, 40u);
}

TEST(report, forgets_older_keys_and_keeps_the_reported_one) {
  harness w;
  const auto keys = w.first();
  EXPECT_EQ(w.report({1, 5}), report_outcome::ok);
  EXPECT_EQ(w.record().sets.at(0).first_index, 5u);
  EXPECT_EQ(w.record().sets.at(0).eukeys.size(), 27u);
  EXPECT_EQ(w.record().sets.at(0).eukeys.at(0), keys.eukeys.at(5));
  w.deliver(keys, 5);
  const auto next = keys_of(w.send(w.ask(assignment_reason::recover)));
  ASSERT_TRUE(next.chain.has_value());
  EXPECT_EQ(w.record().sets.size(), 2u) << "the older set stays until a key of the newer one is reported";
  EXPECT_EQ(w.report({2, 0}), report_outcome::ok);
  EXPECT_EQ(w.record().sets.size(), 1u);
}

TEST(report, is_answered_by_holder_and_issued_indexes) {
  harness w;
  EXPECT_EQ(w.report({1, 0}), report_outcome::resync) << "no holder is known";
  w.first();
  EXPECT_EQ(w.report(w.other_gw, {1, 0}), report_outcome::not_holder);
  EXPECT_EQ(w.report({1, 32}), report_outcome::resync) << "never issued";
  EXPECT_EQ(w.report({2, 0}), report_outcome::resync);
  EXPECT_EQ(w.writes, 1);
  EXPECT_EQ(w.report({1, 4}), report_outcome::ok);
  EXPECT_EQ(w.report({1, 4}), report_outcome::ok);
  EXPECT_EQ(w.writes, 2) << "a repeated report writes nothing";
  EXPECT_EQ(w.report({1, 3}), report_outcome::resync) << "the gateway was restored from an older disk";
  EXPECT_EQ(w.record().last_report, (epoch{1, 3}));
}

TEST(report, that_cannot_be_stored_changes_nothing) {
  harness w;
  w.first();
  w.store_fails = true;
  w.machine->handle_report(w.now, w.gw, {1, 4});
  w.drive();
  EXPECT_EQ(w.machine->state(), assignment_state::idle);
  EXPECT_FALSE(w.record().last_report.has_value());
}

TEST(restore, a_raised_incarnation_skips_generations_and_requires_a_resync) {
  harness w;
  const auto keys = w.first();
  w.settings.incarnation = 2;
  w.restart();
  EXPECT_EQ(w.report({1, 0}), report_outcome::resync);
  EXPECT_EQ(keys_of(w.send(refill(w, keys, {1, 31}))).generation, 18u);
}

}  // namespace
}  // namespace cpns::testing_people
