// The permit window: it lets in what proves itself while it is open, and keeps nothing of a claim.
#include <gtest/gtest.h>

#include "tests/unit/machines/crowd.hpp"
#include "tests/unit/machines/harness.hpp"

namespace cpns::test {
namespace {

using namespace protocol;
using namespace std::chrono_literals;

harness_options asking() {
  harness_options o;
  o.policy = validation_policy::ask;
  return o;
}

bool awaits_person(const harness& w) { return w.gw->state() == pn_gw_state::awaiting_approval; }

TEST(permit, lets_in_a_device_that_the_server_verifies_while_it_is_open) {
  harness w{asking()};
  w.permit(5min);
  w.connect();
  EXPECT_TRUE(w.run_until([&] { return w.keyed(); }, 20s));
  EXPECT_TRUE(w.gw_disk.approved);
  w.permit(0s);
  w.run(1s);
  EXPECT_TRUE(w.keyed()) << "it stays accepted";
  EXPECT_EQ(w.disagreement(), "");
}

TEST(permit, lets_in_a_waiting_device_in_reach_when_it_opens) {
  harness w{asking()};
  w.connect();
  w.run(5s);
  ASSERT_TRUE(awaits_person(w));
  w.permit(5min);
  EXPECT_TRUE(w.run_until([&] { return w.keyed(); }, 20s));
}

TEST(permit, does_not_approve_a_device_that_strangers_claimed_to_be) {
  for (const auto kind : {lie::no_key, lie::reset, lie::no_presence, lie::mixed}) {
    SCOPED_TRACE(static_cast<int>(kind));
    harness w{asking()};
    w.permit(1min);
    crowd strangers{w, 8, kind};
    strangers.run(50s);
    EXPECT_FALSE(w.gw->record().approved);
    EXPECT_EQ(w.writes, 0) << "a claim leaves no row";
    w.permit(0s);
    EXPECT_TRUE(awaits_person(w));
    const auto asked = w.server.asked;
    strangers.run(30s);
    strangers.leave();
    w.connect();
    w.run(5min);
    EXPECT_TRUE(awaits_person(w));
    EXPECT_FALSE(w.pne->current_epoch());
    EXPECT_EQ(w.server.asked, asked);
  }
}

TEST(permit, writes_nothing_about_a_waiting_device_that_it_lets_try) {
  harness w{asking()};
  crowd strangers{w, 4, lie::no_presence};
  strangers.run(5s);
  ASSERT_TRUE(awaits_person(w));
  w.permit(1min);
  EXPECT_FALSE(awaits_person(w));
  strangers.run(50s);
  EXPECT_EQ(w.writes, 0);
  EXPECT_FALSE(w.gw->record().approved);
}

TEST(permit, ends_an_exchange_that_is_under_way) {
  harness w{asking()};
  w.nonces_hang = true;
  w.permit(1min);
  w.connect();
  w.run(5s);
  ASSERT_EQ(w.gw->state(), pn_gw_state::requesting);
  w.permit(0s);
  EXPECT_TRUE(awaits_person(w));
  w.nonces_hang = false;
  w.run(5min);
  EXPECT_TRUE(awaits_person(w));
  EXPECT_EQ(w.server.asked, 0);
  w.gw->handle_approval(w.now, true);
  EXPECT_TRUE(w.run_until([&] { return w.keyed(); }, 20s));
}

TEST(permit, stores_keys_that_come_after_its_end_and_does_not_deliver_them) {
  harness w{asking()};
  w.permit(1min);
  w.connect();
  ASSERT_TRUE(w.run_until([&] { return w.count(gw_event::kind_t::requested) == 1; }, 20s));
  ASSERT_EQ(w.gw->record().generation, 0u);
  w.permit(0s);
  w.run(5min);
  EXPECT_TRUE(awaits_person(w));
  EXPECT_EQ(w.gw_disk.generation, 1u);
  EXPECT_FALSE(w.gw_disk.approved);
  EXPECT_TRUE(w.deliveries.empty());
  w.crash(side::gw);
  w.power_on(side::gw);
  w.connect();
  w.run(1min);
  EXPECT_TRUE(awaits_person(w));
  w.gw->handle_approval(w.now, true);
  EXPECT_TRUE(w.run_until([&] { return w.keyed(); }, 20s));
  w.run(1s);
  EXPECT_EQ(w.disagreement(), "");
}

TEST(permit, ends_by_the_clock_although_nobody_says_so) {
  harness w{asking()};
  w.permit(10s);
  w.run(11s);
  w.connect();
  w.run(1min);
  EXPECT_TRUE(awaits_person(w));
  EXPECT_EQ(w.server.asked, 0);
}

TEST(permit, does_not_deliver_keys_that_come_when_its_time_is_over_by_the_clock) {
  harness w{asking()};
  w.permit(1min);
  w.connect();
  ASSERT_TRUE(w.run_until([&] { return w.count(gw_event::kind_t::requested) == 1; }, 20s));
  w.now = w.o.permit_until;  // the message that the window ended is late
  w.run(1min);
  EXPECT_TRUE(awaits_person(w));
  EXPECT_FALSE(w.gw_disk.approved);
  EXPECT_TRUE(w.deliveries.empty());
}

TEST(permit, a_policy_that_becomes_ask_keeps_no_approval_of_a_claim) {
  harness w;
  crowd strangers{w, 4, lie::no_presence};
  strangers.run(30s);
  w.o.policy = validation_policy::ask;
  w.permit(0s);
  strangers.leave();
  w.connect();
  w.run(1min);
  EXPECT_TRUE(awaits_person(w));
}

}  // namespace
}  // namespace cpns::test
