// Several faults together: none of them may leave a device unserved, or waste keys.
#include <gtest/gtest.h>

#include <set>

#include "protocol/constants.hpp"
#include "tests/unit/machines/keyed_harness.hpp"

namespace cpns::test {
namespace {

using namespace protocol;
using namespace std::chrono_literals;
using kind_t = gw_event::kind_t;

harness_options with_real_server() {
  harness_options o;
  o.real_server = true;
  return o;
}

/// A stranger's answer to `dreq`: the device's Entity ID and random tags.
discovery_response forged(harness& w, const discovery_request& dreq, std::optional<epoch> highest) {
  discovery_response drsp;
  drsp.gw_nonce_echo = first<4>(dreq.gw_nonce);
  drsp.entity = w.entity;
  drsp.pne_nonce = w.random.draw<16>();
  drsp.pne_share = crypto::openssl_suite().x25519_generate(w.random).public_key;
  drsp.highest = highest;
  if (highest) drsp.possession = tag16{w.random.draw<16>()};
  if (dreq.issuer_nonce) drsp.presence = tag16{w.random.draw<16>()};
  return drsp;
}

/// A stranger connects on a link of its own and claims to be the device.
void stranger_comes(harness& w, gw_link on) {
  discovery_request dreq;
  dreq.gw = w.o.gw;
  dreq.gw_nonce = w.random.draw<16>();
  dreq.suites = {suite_x25519};
  w.gw->handle_detected(w.now, on, encode(dreq), encode(forged(w, dreq, std::nullopt)));
}

TEST(trouble, a_dropped_link_is_closed_although_a_write_fails) {
  harness_options o;
  o.policy = validation_policy::ask;
  harness w{o};
  w.connect();
  w.run(5s);
  ASSERT_EQ(w.gw->state(), pn_gw_state::awaiting_approval);
  w.o.persist_failure = 100;
  w.gw->handle_approval(w.now, false);
  w.run(100ms);
  EXPECT_FALSE(w.link) << "the gateway no longer listens on it";
}

TEST(trouble, a_refusal_that_arrives_after_a_reconnect_is_obeyed) {
  harness w;
  w.connect();
  ASSERT_TRUE(w.run_until([&] { return w.gw->record().request.has_value(); }, 5s));
  w.server_up = false;
  w.connect();
  w.run(2s);
  ASSERT_EQ(w.gw->state(), pn_gw_state::found);
  w.gw->handle_refusal(w.now, *w.gw->record().request, refusal{link_status::stale_epoch, 0, "a copy"});
  w.run(100ms);
  EXPECT_EQ(w.gw->state(), pn_gw_state::quarantined);
  EXPECT_EQ(w.gw_disk.standing, device_standing::quarantined);
}

TEST(trouble, a_missing_nonce_does_not_end_an_exchange_that_began_after_a_reconnect) {
  keyed_harness w;
  w.nonces_hang = true;
  w.tap = [&](side to, bytes& m) {
    const auto decoded = decode_radio(m);
    if (to == side::gw || !std::holds_alternative<discovery_request>(*decoded)) return to == side::pne;
    w.inject(side::gw, encode(forged(w, std::get<discovery_request>(*decoded), epoch{9, 0})));
    return false;
  };
  w.gw->handle_update_request(w.now);
  ASSERT_TRUE(w.run_until([&] { return w.gw->state() == pn_gw_state::recovering; }, 20s));
  w.disconnect();
  w.tap = nullptr;
  w.run(1s);
  w.connect();
  w.run(30s);
  EXPECT_EQ(w.count(kind_t::backing_off), 0);
  EXPECT_EQ(w.disagreement(), "");
}

TEST(trouble, a_refill_unknown_to_a_restored_server_is_requested_again_with_the_devices_answer) {
  harness w{with_real_server()};
  w.real->settings.set_size = 12;
  w.real->settings.rekey = 24h;
  w.real->restart();
  w.connect();
  ASSERT_TRUE(w.run_until([&] { return w.keyed(); }, 20s));
  w.run(5s);
  const auto backup = w.real->disk;
  // A new generation that the backup does not have, used down to the low-water mark.
  w.lose_gateway_disk();
  w.connect();
  ASSERT_TRUE(w.run_until([&] { return w.keyed(); }, 1min));
  w.run(5s);
  ASSERT_EQ(w.gw->own_epoch()->generation(), 2u);
  w.server_up = false;
  while (w.gw->record().unused_count() > 8) {
    w.gw->handle_update_request(w.now);
    w.run(15s);
  }
  w.gw->handle_report_outcome(w.now, *w.gw->record().to_report, report_outcome::ok);  // before the restore
  w.real->disk = backup;
  w.real->restart();
  w.server_up = true;
  const int asked = w.real->asked;
  w.run(10min);
  EXPECT_LE(w.real->asked - asked, 5);
  EXPECT_GT(w.gw->record().unused_count(), 8u);
  EXPECT_EQ(w.disagreement(), "");
}

TEST(trouble, a_stranger_does_not_stop_the_renewals_of_a_gateway_without_a_server) {
  keyed_harness w;
  w.server_up = false;
  bool lost = false;
  w.tap = [&](side to, bytes& m) {
    const auto decoded = decode_radio(m);
    if (to == side::gw || lost || !std::holds_alternative<discovery_request>(*decoded)) return true;
    lost = true;
    w.inject(side::gw, encode(forged(w, std::get<discovery_request>(*decoded), epoch{9, 0})));
    return false;
  };
  w.gw->handle_update_request(w.now);
  w.run(1h);
  EXPECT_GE(*w.gw->own_epoch(), (epoch{1, 1}));
  EXPECT_EQ(w.disagreement(), "");
}

TEST(trouble, a_device_that_accepts_no_key_for_days_is_served_when_it_accepts_one) {
  harness w{with_real_server()};
  w.tap = [](side, bytes& m) { return !std::holds_alternative<key_delivery>(*decode_radio(m)); };
  w.connect();
  w.run(24h * 3);
  EXPECT_GE(w.gw_disk.generation, 16u);
  w.tap = nullptr;
  EXPECT_TRUE(w.run_until([&] { return w.keyed(); }, 1h));
  w.run(1min);
  EXPECT_EQ(w.disagreement(), "");
}

TEST(trouble, unconfirmed_keys_leave_the_record_readable) {
  harness w{with_real_server()};
  w.crash(side::gw);
  w.gw_disk.generation = 1;
  w.gw_disk.set = set_id{{1}};
  for (std::uint16_t i = 0; i < 4090; ++i)
    w.gw_disk.keys.push_back({epoch{1, i}, w.gw_disk.set, secret32{}, key_use::handed_out});
  w.tap = [](side, bytes& m) { return !std::holds_alternative<key_delivery>(*decode_radio(m)); };
  w.power_on(side::gw);
  w.connect();
  w.run(24h);
  EXPECT_EQ(w.faults, std::vector<std::string>{});
  EXPECT_LT(w.gw_disk.keys.size(), 2049u);
  w.tap = nullptr;
  EXPECT_TRUE(w.run_until([&] { return w.keyed(); }, 1h));
  w.run(1min);
  EXPECT_EQ(w.disagreement(), "");
}

TEST(trouble, strangers_on_other_links_do_not_evict_the_device) {
  keyed_harness w;
  const auto own = w.link;
  std::vector<gw_link> closed;
  w.elsewhere = [&](gw_link to, const bytes& m) {
    if (m.empty()) closed.push_back(to);
  };
  for (std::uint64_t n = 1; n <= 300; ++n) {
    stranger_comes(w, {7, n});
    w.run(1ms);
  }
  EXPECT_EQ(w.link, own);
  EXPECT_EQ(closed.size(), 300 - (claims_max - 1)) << "a new link evicts one of a stranger";
  EXPECT_GT(std::set(closed.begin(), closed.end()).rbegin()->link, 250u)
      << "a random one, which may be the new link itself";
}

TEST(trouble, a_stranger_that_comes_and_goes_costs_no_keys) {
  keyed_harness w;
  for (std::uint64_t n = 1; n <= 20; ++n) {
    stranger_comes(w, {7, n});
    w.run(8s);
    w.gw->handle_link_down(w.now, {7, n});
  }
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 0}));
  EXPECT_EQ(w.deliveries.size(), 1u);
}

}  // namespace
}  // namespace cpns::test
