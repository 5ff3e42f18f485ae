// The recovery table of docs/protocol.md, row by row.
#include <algorithm>

#include <gtest/gtest.h>

#include "tests/unit/machines/keyed_harness.hpp"

namespace cpns::test {
namespace {

using namespace protocol;
using namespace std::chrono_literals;
using kind_t = gw_event::kind_t;

template <class M>
bool is(const bytes& m) {
  const auto decoded = decode_radio(m);
  return decoded && std::holds_alternative<M>(*decoded);
}

discovery_response drsp_of(const bytes& m) { return std::get<discovery_response>(*decode_radio(m)); }

TEST(recovery, a_lost_kcnf_is_healed_by_the_next_drsp_without_a_new_key) {
  harness w;
  w.tap = [](side, bytes& m) { return !is<key_confirmation>(m); };
  w.connect();
  w.run(20s);
  ASSERT_NE(w.pne->state(), pne_state::unkeyed);
  EXPECT_FALSE(w.gw->own_epoch() && w.pne->state() == pne_state::unkeyed);
  w.tap = nullptr;
  EXPECT_TRUE(w.run_until([&] { return w.keyed(); }, 1min));
  w.run(1s);
  EXPECT_EQ(w.deliveries.size(), 1u);
  EXPECT_EQ(w.count(kind_t::confirmation_lost), 1);
  EXPECT_EQ(w.disagreement(), "");
}

TEST(recovery, a_lost_kret_is_sent_again_with_the_next_exchange) {
  harness w;
  w.tap = [](side, bytes& m) { return !is<key_retire>(m); };
  w.connect();
  w.run(3s);
  EXPECT_TRUE(w.pne_disk.pending);
  w.tap = nullptr;
  w.connect();
  w.run(5s);
  EXPECT_FALSE(w.pne_disk.pending);
  EXPECT_EQ(w.disagreement(), "");
}

TEST(recovery, amnesia_is_healed_with_the_next_key_and_without_the_server) {
  harness_options o;
  o.pne_forgets = true;
  keyed_harness w{o};
  const int asked = w.server.asked;
  w.server_up = false;
  w.crash(side::pne);
  w.power_on(side::pne);
  w.connect();
  w.run(10s);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 1}));
  EXPECT_EQ(w.count(kind_t::amnesia), 1);
  EXPECT_EQ(w.server.asked, asked);
  EXPECT_EQ(w.disagreement(), "");
}

TEST(recovery, the_server_is_asked_beyond_the_amnesia_budget) {
  harness_options o;
  o.pne_forgets = true;
  keyed_harness w{o};
  const int asked = w.server.asked - w.server.refills;
  for (int i = 0; i < 26; ++i) {
    w.crash(side::pne);
    w.power_on(side::pne);
    w.connect();
    w.run(20s);
    ASSERT_EQ(w.disagreement(), "") << i;
  }
  EXPECT_EQ(w.gw->record().unchained_built, amnesia_budget_default);
  EXPECT_GE(w.server.asked - w.server.refills, asked + 2);
  EXPECT_EQ(w.gw->own_epoch()->generation(), 3u);
}

TEST(recovery, amnesia_leaves_the_healing_reserve) {
  harness_options o;
  o.pne_forgets = true;
  keyed_harness w{o};
  w.server_up = false;
  for (int day = 0; day < 3; ++day)
    for (int i = 0; i < 14; ++i) {
      w.crash(side::pne);
      w.power_on(side::pne);
      w.connect();
      w.run(100min / 1);
    }
  EXPECT_LE(w.gw->record().unused_count(), healing_reserve_default);
  EXPECT_EQ(w.faults, std::vector<std::string>{});
}

TEST(recovery, a_forged_null_epoch_does_not_stop_a_renewal) {
  keyed_harness w;
  w.tap = [&w](side to, bytes& m) {
    if (to == side::gw && is<discovery_response>(m)) {
      auto forged = drsp_of(m);
      forged.highest.reset();
      forged.possession.reset();
      forged.pne_nonce[0] ^= 1;
      w.inject(side::gw, encode(forged));
    }
    return true;
  };
  w.gw->handle_update_request(w.now);
  w.run(5s);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 1}));
  EXPECT_EQ(w.count(kind_t::amnesia), 0);
  EXPECT_EQ(w.disagreement(), "");
}

TEST(recovery, stripped_possession_loses_no_key_and_raises_no_alarm) {
  keyed_harness w;
  w.tap = [](side to, bytes& m) {
    if (to == side::gw && is<discovery_response>(m)) {
      auto stripped = drsp_of(m);
      stripped.highest.reset();
      stripped.possession.reset();
      m = encode(stripped);
    }
    return true;
  };
  w.gw->handle_update_request(w.now);
  w.run(1min);
  EXPECT_EQ(w.pne->current_epoch(), (epoch{1, 0}))
      << "the unchained delivery cannot be decrypted: its th1 differs";
  w.tap = nullptr;
  w.run(10min);
  EXPECT_EQ(w.disagreement(), "");
}

TEST(recovery, a_bad_possession_is_noise_and_three_in_a_row_go_to_the_server) {
  keyed_harness w;
  const int asked = w.server.asked;
  w.tap = [](side to, bytes& m) {
    if (to == side::gw && is<discovery_response>(m)) {
      auto damaged = drsp_of(m);
      damaged.possession->value[3] ^= 0x40;
      m = encode(damaged);
    }
    return true;
  };
  w.gw->handle_update_request(w.now);
  w.run(15s);
  EXPECT_EQ(w.server.asked, asked);
  w.run(5min);
  EXPECT_GE(w.gw->dropped(), 3u);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 0}));
  w.tap = nullptr;
  w.run(10min);
  EXPECT_EQ(w.disagreement(), "");
  EXPECT_GT(*w.gw->own_epoch(), (epoch{1, 0}));
}

TEST(recovery, a_gateway_that_lost_its_disk_adopts_with_a_chain_of_the_server) {
  keyed_harness w;
  w.lose_gateway_disk();
  w.run(15min);  // the window for unchained deliveries closes
  w.connect();
  w.run(10s);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{2, 0}));
  EXPECT_EQ(w.disagreement(), "");
}

TEST(recovery, an_old_disk_of_the_gateway_is_detected_and_no_index_is_used_twice) {
  keyed_harness w;
  const auto old = w.gw_disk;
  w.connect();
  w.run(5s);
  ASSERT_EQ(w.gw->own_epoch(), (epoch{1, 1}));
  w.crash(side::gw);
  w.gw_disk = old;
  w.power_on(side::gw);
  w.connect();
  w.run(10s);
  EXPECT_EQ(w.count(kind_t::gateway_rolled_back), 1);
  w.connect();
  w.run(10s);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 2}));
  EXPECT_EQ(w.disagreement(), "");
}

TEST(recovery, a_factory_reset_is_verified_by_the_server_before_a_key_is_sent) {
  keyed_harness w;
  const int asked = w.server.asked;
  w.pne->handle_factory_reset(w.now);
  w.connect();
  w.run(15s);
  EXPECT_EQ(w.server.asked, asked + 1);
  EXPECT_EQ(w.gw->record().resets, 1u);
  EXPECT_EQ(w.gw->own_epoch()->generation(), 2u);
  EXPECT_EQ(w.disagreement(), "");
}

TEST(recovery, a_restored_device_is_quarantined_when_the_server_calls_it_stale) {
  keyed_harness w;
  const auto old = w.pne_disk;
  for (int i = 0; i < 2; ++i) {
    w.connect();
    w.run(5s);
  }
  ASSERT_EQ(w.gw->own_epoch(), (epoch{1, 2}));
  w.crash(side::pne);
  w.pne_disk = old;
  w.power_on(side::pne);
  w.connect();
  w.run(30s);
  EXPECT_EQ(w.gw->state(), pn_gw_state::quarantined);
  EXPECT_EQ(w.count(kind_t::stale_epoch), 1);
  EXPECT_EQ(w.deliveries.size(), 3u);
  w.crash(side::gw);
  w.power_on(side::gw);
  EXPECT_EQ(w.gw->state(), pn_gw_state::quarantined);
}

TEST(recovery, a_resync_makes_the_gateway_recover_with_a_verified_possession) {
  harness w;
  w.connect();
  ASSERT_TRUE(w.run_until([&] { return w.keyed(); }, 20s));
  const int asked = w.server.asked;
  w.gw->handle_report_outcome(w.now, *w.gw->own_epoch(), report_outcome::resync);
  w.run(10s);
  EXPECT_EQ(w.server.asked, asked + 1);
  EXPECT_TRUE(w.keyed());
  EXPECT_EQ(w.disagreement(), "");
}

TEST(recovery, a_continued_set_brings_no_erased_index_back) {
  keyed_harness w;
  w.connect();
  w.run(5s);
  ASSERT_EQ(w.gw->own_epoch(), (epoch{1, 1}));
  w.server_up = false;
  w.connect();
  w.run(5s);
  ASSERT_EQ(w.gw->record().to_report, (epoch{1, 2}));
  w.server_up = true;
  w.server.forget_reports();
  w.gw->handle_report_outcome(w.now, epoch{1, 2}, report_outcome::resync);
  w.run(10s);
  EXPECT_EQ(w.gw->record().generation, 1u) << "no key of the set was reported, so the set continues";
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 3}));
  EXPECT_EQ(w.gw->record().keys.front().which, (epoch{1, 3}));
  EXPECT_TRUE(std::is_sorted(w.gw->record().keys.begin(), w.gw->record().keys.end(),
                             [](const held_key& a, const held_key& b) { return a.which < b.which; }));
  EXPECT_EQ(w.disagreement(), "");
}

TEST(recovery, a_not_holder_outcome_stops_deliveries_and_keeps_the_keys) {
  harness w;
  w.connect();
  ASSERT_TRUE(w.run_until([&] { return w.keyed(); }, 20s));
  w.server.holder = gateway_id{{9}};
  w.gw->handle_report_outcome(w.now, *w.gw->own_epoch(), report_outcome::not_holder);
  w.run(30s);
  EXPECT_EQ(w.gw->state(), pn_gw_state::held_elsewhere);
  EXPECT_TRUE(w.gw->own_epoch());
  w.gw->handle_update_request(w.now);
  w.run(30s);
  EXPECT_EQ(w.deliveries.size(), 1u);
}

TEST(recovery, a_restart_between_the_write_and_the_kdel_burns_the_index) {
  harness w;
  // The gateway crashes at its first KDEL, after the record is durable.
  bool crashed = false;
  w.before_output = [&](side which, int) {
    const auto* next = w.gw_disk.find(epoch{1, 0});
    if (which != side::gw || crashed || next == nullptr || !was_handed_out(next->use)) return false;
    return crashed = true;
  };
  w.connect();
  w.run(20s);
  EXPECT_TRUE(crashed);
  EXPECT_EQ(w.deliveries.count(epoch{1, 0}), 0u);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 1}));
  EXPECT_EQ(w.disagreement(), "");
}

TEST(recovery, a_gateway_that_lost_its_disk_after_an_unconfirmed_delivery_uses_no_index_twice) {
  harness w;
  w.tap = [](side to, bytes& m) { return to != side::pne || !is<key_delivery>(m); };
  w.connect();
  ASSERT_TRUE(w.run_until([&] { return !w.deliveries.empty(); }, 20s));
  w.crash(side::gw);
  const auto entity = w.gw_disk.entity;
  const auto user = w.gw_disk.user;
  w.gw_disk = {};
  w.gw_disk.entity = entity;
  w.gw_disk.user = user;
  w.power_on(side::gw);
  w.tap = nullptr;
  w.connect();
  w.run(20s);
  EXPECT_TRUE(w.keyed());
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 32})) << "index 0 was in a KDEL, and its receiver may hold the key";
  EXPECT_EQ(w.disagreement(), "");
}

TEST(recovery, an_entity_on_two_links_is_served_on_the_one_that_verifies) {
  keyed_harness w;
  const gw_link other{7, 99};
  discovery_request dreq;
  dreq.gw = w.o.gw;
  dreq.gw_nonce = w.random.draw<16>();
  dreq.suites = {suite_x25519};
  discovery_response drsp;
  drsp.gw_nonce_echo = first<4>(dreq.gw_nonce);
  drsp.entity = w.entity;
  drsp.pne_share = crypto::openssl_suite().x25519_generate(w.random).public_key;
  w.gw->handle_detected(w.now, other, encode(dreq), encode(drsp));
  w.run(10s);
  EXPECT_TRUE(w.keyed());
  EXPECT_EQ(w.disagreement(), "");
  EXPECT_EQ(w.count(kind_t::amnesia), 0);
}

TEST(recovery, a_foreign_answer_closes_the_link_and_leaves_the_device_unchanged) {
  keyed_harness w;
  w.tap = [](side to, bytes& m) {
    if (to == side::gw && is<discovery_response>(m)) {
      auto foreign = drsp_of(m);
      foreign.entity = *entity_id::parse("urn:dev:mac:0024befffe804ff2");
      m = encode(foreign);
    }
    return true;
  };
  w.gw->handle_update_request(w.now);
  const auto before = w.link;
  w.run(15s);
  EXPECT_NE(w.link, before);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 0})) << "the record of the former device is unchanged";
}

}  // namespace
}  // namespace cpns::test
