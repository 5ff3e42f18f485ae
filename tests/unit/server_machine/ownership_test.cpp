// The user and the gateway that may have keys of a device.
#include "tests/unit/server_machine/harness.hpp"

namespace cpns::testing_people {
namespace {

harness::body by_bob(harness& w, const gateway_id& gw) {
  return w.send(make_request(w.bob, w.device, assignment_reason::first, w.meet(gw)), w.bob, gw,
                w.random.draw_id<request_id>());
}

TEST(ownership, the_first_user_with_presence_owns_the_device) {
  harness w;
  w.first();
  EXPECT_TRUE(w.saw("ownership-claimed"));
  EXPECT_EQ(status_of(by_bob(w, w.other_gw)), link_status::owned_by_other);
  EXPECT_EQ(w.record().owner, w.alice.user);
}

TEST(ownership, an_import_may_name_the_owner) {
  harness w;
  w.imported->owner = w.bob.user;
  EXPECT_EQ(status_of(w.send(w.ask(assignment_reason::first))), link_status::owned_by_other);
  EXPECT_FALSE(w.record().owner.has_value());
  EXPECT_EQ(status_of(by_bob(w, w.other_gw)), link_status::ok);
  EXPECT_EQ(w.record().owner, w.bob.user);
}

TEST(ownership, a_factory_reset_within_14_days_of_the_claim_passes_it) {
  harness w;
  const auto old = w.first();
  w.deliver(old, 0);
  w.report({1, 0});
  w.device.forget();
  w.now += std::chrono::hours{24 * 13};
  EXPECT_EQ(status_of(by_bob(w, w.other_gw)), link_status::owned_by_other) << "amnesia is not a reset";
  w.device.resets = 1;
  const auto keys = keys_of(by_bob(w, w.other_gw));
  EXPECT_TRUE(w.saw("ownership-passed"));
  EXPECT_EQ(keys.generation, 2u);
  EXPECT_NE(keys.owner, old.owner);
  EXPECT_EQ(w.record().owner, w.bob.user);
  EXPECT_EQ(w.record().holder, w.other_gw);
  EXPECT_EQ(w.record().resets, 1u);
  EXPECT_EQ(status_of(w.send(w.ask(assignment_reason::recover))), link_status::owned_by_other);
  EXPECT_EQ(w.report({1, 1}), report_outcome::not_holder);
}

TEST(ownership, a_reset_after_14_days_or_without_presence_passes_nothing) {
  harness w;
  w.first();
  w.device.resets = 1;
  w.now += std::chrono::hours{24 * 14} + seconds{1};
  EXPECT_EQ(status_of(by_bob(w, w.other_gw)), link_status::owned_by_other);
  harness v;
  v.first();
  v.imported->require_presence = false;
  headset imposter{v.device.entity.text()};
  imposter.temporary_key = v.random.draw_secret<32>();
  imposter.resets = 9;
  const auto request = make_request(v.bob, v.device, assignment_reason::first,
                                    imposter.answer(v.other_gw, v.nonce(v.other_gw)));
  EXPECT_EQ(status_of(v.send(request, v.bob, v.other_gw, v.random.draw_id<request_id>())),
            link_status::owned_by_other);
}

TEST(holder, is_named_to_another_gateway_of_the_same_user_with_a_time_to_ask_again) {
  harness w;
  w.first();
  w.now += seconds{42};
  for (const auto why : {assignment_reason::first, assignment_reason::adopt, assignment_reason::recover}) {
    const auto no = w.send(make_request(w.alice, w.device, why, w.meet(w.other_gw)), w.alice, w.other_gw,
                           w.random.draw_id<request_id>());
    ASSERT_EQ(status_of(no), link_status::held_by_other);
    EXPECT_EQ(std::get<refusal>(no).retry_after, 60u);
    EXPECT_NE(std::get<refusal>(no).reason.find(w.gw.hex()), std::string::npos);
    EXPECT_NE(std::get<refusal>(no).reason.find("42 s"), std::string::npos);
  }
  EXPECT_EQ(w.record().holder, w.gw);
}

TEST(holder, a_gateway_without_an_answer_of_the_device_gets_no_keys) {
  harness w;
  const auto keys = w.first();
  auto r = make_request(w.bob, w.device, assignment_reason::refill, std::nullopt);
  r.known_epoch = epoch{1, 31};
  r.set = keys.set;
  EXPECT_EQ(status_of(w.send(r, w.bob, w.other_gw, w.random.draw_id<request_id>())),
            link_status::owned_by_other);
  headset fresh{"urn:dev:os:32473-77"};
  harness v;
  auto unowned = make_request(v.alice, v.device, assignment_reason::refill, std::nullopt);
  unowned.known_epoch = epoch{1, 31};
  unowned.set = keys.set;
  EXPECT_EQ(status_of(v.send(unowned)), link_status::stale_nonce);
  EXPECT_FALSE(v.record().owner.has_value()) << "a refill claims nothing";
}

}  // namespace
}  // namespace cpns::testing_people
