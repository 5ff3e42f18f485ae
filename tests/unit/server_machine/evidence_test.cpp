// The proofs in a device's answer that are required before anything is released.
#include "tests/unit/server_machine/harness.hpp"

namespace cpns::testing_people {
namespace {

link_status status_for(harness& w, const headset::exchange& e,
                       assignment_reason why = assignment_reason::first) {
  return status_of(w.send(make_request(w.alice, w.device, why, e)));
}

TEST(evidence, a_wrong_presence_tag_releases_nothing) {
  harness w;
  headset imposter{w.device.entity.text()};
  imposter.temporary_key = w.random.draw_secret<32>();
  EXPECT_EQ(status_for(w, imposter.answer(w.gw, w.nonce(w.gw))), link_status::presence_failed);
  EXPECT_EQ(w.writes, 0);
  EXPECT_FALSE(w.record().owner.has_value());
}

TEST(evidence, every_flipped_bit_of_the_answer_is_refused) {
  harness w;
  const auto good = w.meet();
  for (std::size_t i = 0; i < good.drsp.size(); ++i) {
    auto bad = good;
    bad.drsp[i] ^= 1;
    EXPECT_NE(status_for(w, bad), link_status::ok) << "byte " << i;
  }
  EXPECT_EQ(w.writes, 0);
  EXPECT_EQ(status_for(w, good), link_status::ok);
}

TEST(evidence, the_answer_given_to_another_gateway_is_refused) {
  harness w;
  EXPECT_EQ(status_for(w, w.meet(w.other_gw)), link_status::presence_failed);
  EXPECT_TRUE(w.saw("foreign-answer"));
}

TEST(evidence, the_issuer_nonce_is_accepted_in_slots_minus_two_to_plus_one) {
  for (const int slot : {-3, -2, -1, 0, 1, 2}) {
    harness w;
    const auto e = w.device.answer(w.gw, w.nonce(w.gw, slot));
    EXPECT_EQ(status_for(w, e), slot >= -2 && slot <= 1 ? link_status::ok : link_status::stale_nonce) << slot;
  }
}

TEST(evidence, an_answer_that_was_held_back_is_stale) {
  harness w;
  const auto e = w.meet();
  w.now += std::chrono::minutes{4};
  EXPECT_EQ(status_for(w, e), link_status::stale_nonce);
}

TEST(evidence, a_nonce_of_another_gateway_or_none_is_stale) {
  harness w;
  EXPECT_EQ(status_for(w, w.device.answer(w.gw, w.nonce(w.other_gw))), link_status::stale_nonce);
  EXPECT_EQ(status_for(w, w.device.answer(w.gw, std::nullopt)), link_status::stale_nonce);
}

TEST(evidence, an_exchange_counts_once) {
  harness w;
  const auto e = w.meet();
  EXPECT_EQ(status_for(w, e), link_status::ok);
  EXPECT_EQ(status_for(w, e), link_status::stale_nonce);
  EXPECT_TRUE(w.saw("answer-reused"));
  w.restart();
  EXPECT_EQ(status_for(w, e), link_status::stale_nonce) << "a restart does not forget it";
}

TEST(evidence, used_exchanges_are_bounded_and_forgotten_with_their_slot) {
  harness w;
  w.settings.set_size = 1;
  w.restart();
  int granted = 0;
  while (granted < 200 && status_for(w, w.meet()) == link_status::ok) ++granted;
  EXPECT_EQ(granted, 64);
  EXPECT_EQ(status_for(w, w.meet()), link_status::throttled);
  w.now += std::chrono::minutes{4};
  EXPECT_EQ(status_for(w, w.meet()), link_status::ok);
  EXPECT_EQ(w.record().used.size(), 1u);
}

TEST(evidence, possession_stripped_on_the_air_is_refused) {
  harness w;
  const auto keys = w.first();
  w.deliver(keys, 0);
  auto e = w.meet();
  auto a = read_answer(e.drsp);
  a.highest.reset();
  a.possession.reset();
  e.drsp = encode(a);
  EXPECT_EQ(status_for(w, e, assignment_reason::recover), link_status::presence_failed);
}

TEST(evidence, the_request_must_be_for_the_entity_that_answered) {
  harness w;
  headset other{"urn:dev:os:32473-999"};
  EXPECT_EQ(status_for(w, other.answer(w.gw, w.nonce(w.gw))), link_status::bad_request);
}

TEST(evidence, an_inconsistent_exchange_is_a_bad_request) {
  harness w;
  auto mixed = w.meet();
  mixed.dreq = w.meet().dreq;
  EXPECT_EQ(status_for(w, mixed), link_status::bad_request) << "it echoes another DREQ";
  auto swapped = w.meet();
  std::swap(swapped.dreq, swapped.drsp);
  EXPECT_EQ(status_for(w, swapped), link_status::bad_request);
  for (const auto& junk :
       {bytes{}, bytes{0x9a, 0x10, 0, 0, 0}, bytes(1100, 0x81), bytes{0x83, 0x18, 0x01, 0x02}}) {
    auto e = w.meet();
    e.drsp = junk;
    EXPECT_EQ(status_for(w, e), link_status::bad_request);
    e = w.meet();
    e.dreq = junk;
    EXPECT_EQ(status_for(w, e), link_status::bad_request);
  }
  auto r = w.ask(assignment_reason::first);
  r.dreq.reset();
  EXPECT_EQ(status_of(w.send(r)), link_status::bad_request);
  r.drsp.reset();
  EXPECT_EQ(status_of(w.send(r)), link_status::bad_request) << "only a refill may omit both";
}

TEST(evidence, presence_can_be_switched_off_for_a_batch_and_for_all) {
  harness w;
  headset imposter{w.device.entity.text()};
  imposter.temporary_key = w.random.draw_secret<32>();
  w.imported->require_presence = false;
  EXPECT_EQ(status_for(w, imposter.answer(w.gw, w.nonce(w.gw))), link_status::ok);
  harness v;
  v.settings.require_presence = false;
  v.restart();
  EXPECT_EQ(status_for(v, imposter.answer(v.gw, v.nonce(v.gw))), link_status::ok);
}

TEST(evidence, without_presence_a_false_possession_is_refused) {
  harness w;
  w.imported->require_presence = false;
  const auto keys = w.first();
  headset imposter{w.device.entity.text()};
  imposter.temporary_key = w.random.draw_secret<32>();
  imposter.keep({keys.generation, 0}, w.random.draw_secret<32>());
  EXPECT_EQ(status_for(w, imposter.answer(w.gw, w.nonce(w.gw)), assignment_reason::recover),
            link_status::presence_failed);
}

TEST(stale, a_device_that_went_back_gets_no_keys) {
  harness w;
  const auto keys = w.first();
  w.deliver(keys, 5);
  w.report({keys.generation, 5});
  w.deliver(keys, 4);
  w.now += std::chrono::minutes{2};
  EXPECT_EQ(status_for(w, w.meet(), assignment_reason::recover), link_status::stale_epoch);
}

TEST(stale, an_answer_older_than_the_report_must_be_repeated) {
  harness w;
  const auto keys = w.first();
  w.deliver(keys, 4);
  const auto before = w.meet();
  w.now += seconds{30};
  w.report({keys.generation, 5});
  EXPECT_EQ(status_for(w, before, assignment_reason::recover), link_status::stale_nonce);
}

}  // namespace
}  // namespace cpns::testing_people
