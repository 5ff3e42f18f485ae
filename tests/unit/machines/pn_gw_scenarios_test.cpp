// Headline scenarios of the whole exchange: one PNE, one PN GW, one server.
#include <algorithm>

#include <gtest/gtest.h>

#include "tests/unit/machines/keyed_harness.hpp"

namespace cpns::test {
namespace {

using namespace protocol;
using namespace std::chrono_literals;
using kind_t = gw_event::kind_t;

TEST(scenario, first_contact_takes_an_unkeyed_device_through_steps_0_to_10) {
  keyed_harness w;
  EXPECT_EQ(w.pne->state(), pne_state::keyed);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 0}));
  EXPECT_EQ(w.server.asked, 1);
  EXPECT_EQ(w.server.last_report(), (epoch{1, 0}));
  EXPECT_FALSE(w.pne_disk.pending);
  EXPECT_FALSE(w.gw->record().to_report);
  EXPECT_EQ(w.gw->record().unused_count(), 31u);
  std::vector<kind_t> seen;
  for (const auto& e : w.gw_events)
    if (e.kind != kind_t::detecting && e.kind != kind_t::detected) seen.push_back(e.kind);
  EXPECT_EQ(seen, (std::vector{kind_t::validated, kind_t::requested, kind_t::answered, kind_t::delivering,
                               kind_t::confirmed, kind_t::retired}));
}

TEST(scenario, first_contact_works_with_the_symmetric_suite_and_a_literal_temporary_key) {
  harness_options o;
  o.suite = suite_symmetric;
  harness w{o};
  w.server.literal = true;
  w.connect();
  EXPECT_TRUE(w.run_until([&] { return w.keyed(); }, 20s));
  w.run(1s);
  EXPECT_EQ(w.disagreement(), "");
  EXPECT_FALSE(*w.gw->record().gateway_temporary_key == w.tk_prime) << "the literal key is not stored";
}

TEST(scenario, a_periodic_update_comes_before_the_interval_ends_and_is_chained) {
  keyed_harness w;
  bool chained = false;
  w.tap = [&](side, bytes& m) {
    const auto decoded = decode_radio(m);
    if (const auto* kdel = std::get_if<key_delivery>(&*decoded)) chained = kdel->chained;
    return true;
  };
  w.run(53min);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 0})) << "the jitter is at most a tenth of the hour";
  w.run(8min);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 1}));
  EXPECT_TRUE(chained);
  EXPECT_EQ(w.server.asked, 1) << "an update needs no server";
  EXPECT_EQ(w.disagreement(), "");
}

TEST(scenario, a_refill_is_requested_at_low_water_and_updates_go_on) {
  keyed_harness w;
  w.run(21h);
  EXPECT_EQ(w.server.refills, 0);
  w.run(200h);
  EXPECT_GE(w.server.refills, 5);
  EXPECT_GE(w.gw->own_epoch()->index(), 200);
  EXPECT_EQ(w.gw->own_epoch()->generation(), 1u);
  EXPECT_EQ(w.disagreement(), "");
}

TEST(scenario, updates_go_on_without_a_server_until_the_set_is_used_up_and_resume_with_it) {
  keyed_harness w;
  w.server_up = false;
  w.run(60h);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 31})) << "every key of the set was used";
  EXPECT_EQ(w.disagreement(), "");
  w.server_up = true;
  w.run(2h);
  EXPECT_GT(*w.gw->own_epoch(), (epoch{1, 31}));
  EXPECT_EQ(w.disagreement(), "");
}

TEST(scenario, a_wake_up_on_a_new_link_renews_the_key_at_once) {
  keyed_harness w;
  w.disconnect();
  EXPECT_EQ(w.gw->state(), pn_gw_state::asleep);
  w.run(10s);
  w.connect();
  w.run(5s);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 1}));
  EXPECT_EQ(w.disagreement(), "");
}

TEST(scenario, sleep_and_wake_on_the_same_link_renew_the_key) {
  keyed_harness w;
  w.pne->handle_sleep(w.now);
  w.run(2s);
  EXPECT_EQ(w.gw->state(), pn_gw_state::asleep);
  w.run(20s);
  w.pne->handle_wake(w.now);
  w.run(5s);
  EXPECT_EQ(w.gw->state(), pn_gw_state::keyed);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 1}));
}

TEST(scenario, a_forged_going_to_sleep_does_not_stop_a_renewal) {
  keyed_harness w;
  w.inject(side::gw, encode(pne_notice{pne_notice::kind_t::going_to_sleep}));
  w.run(61min);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 1}));
}

TEST(scenario, the_gateway_waits_for_approval_and_then_sends_a_fresh_exchange) {
  harness_options o;
  o.policy = validation_policy::ask;
  harness w{o};
  w.connect();
  w.run(10min);
  EXPECT_EQ(w.gw->state(), pn_gw_state::awaiting_approval);
  EXPECT_EQ(w.server.asked, 0);
  w.gw->handle_approval(w.now, true);
  EXPECT_TRUE(w.run_until([&] { return w.keyed(); }, 20s));
  EXPECT_TRUE(w.gw_disk.approved);
}

TEST(scenario, a_rejection_closes_the_link_and_survives_a_restart) {
  harness_options o;
  o.policy = validation_policy::ask;
  harness w{o};
  w.connect();
  w.run(5s);
  w.gw->handle_approval(w.now, false);
  w.run(100ms);
  EXPECT_EQ(w.gw->state(), pn_gw_state::rejected);
  EXPECT_FALSE(w.link);
  w.crash(side::gw);
  w.power_on(side::gw);
  w.run(10s);
  EXPECT_EQ(w.gw->state(), pn_gw_state::rejected);
  EXPECT_EQ(w.server.asked, 0);
}

TEST(scenario, a_rejection_is_stored_when_a_list_refuses_the_device_already) {
  harness_options o;
  o.denied = true;
  harness w{o};
  w.connect();
  w.run(5s);
  ASSERT_EQ(w.gw->state(), pn_gw_state::rejected);
  EXPECT_EQ(w.gw_disk.standing, device_standing::normal) << "a list may change";
  w.gw->handle_approval(w.now, false);
  w.run(100ms);
  EXPECT_EQ(w.gw_disk.standing, device_standing::rejected);
}

TEST(scenario, a_second_gateway_leaves_the_device_alone_until_the_holder_is_released) {
  harness w;
  w.server.holder = gateway_id{{9}};
  w.connect();
  w.run(3s);
  EXPECT_EQ(w.gw->state(), pn_gw_state::held_elsewhere);
  EXPECT_EQ(w.gw_disk.standing, device_standing::held_elsewhere);
  EXPECT_TRUE(w.deliveries.empty());
  w.server.holder.reset();
  EXPECT_TRUE(w.run_until([&] { return w.keyed(); }, 30s)) << "asked again after retry_after";
  EXPECT_EQ(w.gw_disk.standing, device_standing::normal);
}

TEST(scenario, a_device_with_another_temporary_key_never_gets_a_key) {
  harness w;
  w.tk_prime = crypto::derive_temporary_key(crypto::openssl_suite(), w.entity, as_bytes("a guess"));
  w.crash(side::pne);
  w.power_on(side::pne);
  w.connect();
  w.run(10min);
  EXPECT_GE(w.server.presence_failed, 1);
  EXPECT_LE(w.server.presence_failed, 60) << "it backs off";
  EXPECT_TRUE(w.deliveries.empty());
  EXPECT_GE(w.count(kind_t::presence_failed), 1);
}

TEST(scenario, the_gateway_backs_off_without_a_server_and_recovers_with_it) {
  harness w;
  w.server_up = false;
  w.connect();
  w.run(3min);
  EXPECT_EQ(w.gw->own_epoch(), std::nullopt);
  EXPECT_TRUE(std::any_of(w.gw_events.begin(), w.gw_events.end(), [](const gw_event& e) {
    return e.kind == kind_t::backing_off &&
           e.why.starts_with("the server cannot be reached; next attempt in ");
  }));
  w.server_up = true;
  EXPECT_TRUE(w.run_until([&] { return w.keyed(); }, 10min));
}

TEST(scenario, a_failed_write_is_never_announced) {
  for (int nth = 0; nth < 4; ++nth) {
    SCOPED_TRACE(nth);
    harness w;
    w.full_from = nth;
    w.connect();
    w.run(20s);
    EXPECT_GT(w.writes, nth);
    EXPECT_GT(w.server.asked, 0) << "a device without a set is not stored before that";
    EXPECT_EQ(!w.deliveries.empty(), nth > 0) << "KDEL follows the write of its index";
    EXPECT_EQ(w.pne_disk.pending.has_value(), nth > 1);
    EXPECT_EQ(w.count(kind_t::confirmed) > 0, nth > 2) << "KRET and report follow the write of the own key";
    EXPECT_EQ(w.gw_disk.own() != nullptr, nth > 2);
    EXPECT_FALSE(w.pne_disk.current);
    w.full_from.reset();
    EXPECT_TRUE(w.run_until([&] { return w.keyed(); }, 10min));
    w.settle();
    EXPECT_EQ(w.disagreement(), "");
  }
}

TEST(scenario, the_outcome_of_a_past_report_changes_nothing) {
  keyed_harness w;
  w.tap = [](side, bytes&) { return false; };
  w.server.holder = gateway_id{{9}};
  w.gw->handle_report_outcome(w.now, *w.gw->own_epoch(), report_outcome::not_holder);
  EXPECT_EQ(w.gw->state(), pn_gw_state::keyed);
  EXPECT_TRUE(w.gw->own_epoch());
}

}  // namespace
}  // namespace cpns::test
