// What programs that use the keys of a device have to know of its record: which handed-out keys to accept, and which
// sessions to end.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/machines/keyed_harness.hpp"

namespace cpns::test {
namespace {

using namespace protocol;
using namespace std::chrono_literals;

template <class M>
bool carries(const bytes& m) {
  const auto decoded = decode_radio(m);
  return decoded && std::holds_alternative<M>(*decoded);
}

harness_options forgetful() {
  harness_options o;
  o.pne_forgets = true;
  return o;
}

key_use use_of(const device_record& r, epoch which) {
  const auto* key = r.find(which);
  return key == nullptr ? key_use::unused : key->use;
}

void lose_memory(harness& w) {
  w.crash(side::pne);
  w.power_on(side::pne);
  w.connect();
}

void lose_confirmations(harness& w) {
  w.tap = [](side, bytes& m) { return !carries<key_confirmation>(m); };
}

TEST(sessions, go_on_when_a_key_is_renewed) {
  keyed_harness w;
  w.connect();
  w.run(5s);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 1}));
  EXPECT_EQ(w.gw_disk.sessions_from, (epoch{1, 0})) << "its first key";
}

TEST(sessions, of_a_record_that_was_erased_end_with_the_first_key_of_the_next_one) {
  keyed_harness w;
  w.connect();
  w.run(5s);
  const auto before = *w.gw->own_epoch();
  w.lose_gateway_disk();
  EXPECT_EQ(w.gw_disk.sessions_from, std::nullopt);
  w.connect();
  ASSERT_TRUE(w.run_until([&] { return w.keyed(); }, 1min));
  w.run(1s);
  ASSERT_GT(*w.gw->own_epoch(), before);
  EXPECT_EQ(w.gw_disk.sessions_from, w.gw->own_epoch()) << "a program may have missed the end of the record";
  w.crash(side::gw);
  w.power_on(side::gw);
  w.connect();
  w.run(5s);
  EXPECT_GT(w.gw_disk.sessions_from, before) << "and it may ask after a restart";
}

TEST(sessions, end_when_a_device_that_lost_its_key_confirms_the_next_one) {
  keyed_harness w{forgetful()};
  w.connect();
  w.run(5s);
  ASSERT_EQ(w.gw->own_epoch(), (epoch{1, 1}));
  std::vector<std::optional<epoch>> told;  // in the order of the writes that hand out or confirm the key
  w.on_gw_output = [&](const gw_output& out) {
    if (const auto* p = std::get_if<gw_persist>(&out))
      if (use_of(*p->record, {1, 2}) != key_use::unused) told.push_back(p->record->sessions_from);
  };
  lose_memory(w);
  w.run(10s);
  ASSERT_GE(told.size(), 2u);
  EXPECT_EQ(told.front(), (epoch{1, 0})) << "a stranger may have claimed it";
  EXPECT_EQ(w.gw_disk.sessions_from, (epoch{1, 2}));
  w.on_gw_output = nullptr;
  w.connect();
  w.run(5s);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 3}));
  EXPECT_EQ(w.gw_disk.sessions_from, (epoch{1, 2})) << "those of the healing key go on";
  EXPECT_EQ(w.disagreement(), "");
}

TEST(sessions, end_also_when_the_confirmation_is_lost_and_the_device_proves_the_key_later) {
  keyed_harness w{forgetful()};
  lose_confirmations(w);
  lose_memory(w);
  ASSERT_TRUE(w.run_until([&] { return use_of(w.gw_disk, {1, 1}) == key_use::lapsed; }, 20s));
  EXPECT_EQ(w.gw_disk.sessions_from, (epoch{1, 0}));
  w.crash(side::gw);  // nothing of that is in memory alone
  w.power_on(side::gw);
  w.connect();
  ASSERT_TRUE(w.run_until([&] { return w.keyed(); }, 1min));
  w.run(1s);
  EXPECT_EQ(w.count(gw_event::kind_t::confirmation_lost), 1);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 1}));
  EXPECT_EQ(w.gw_disk.sessions_from, (epoch{1, 1}));
}

TEST(sessions, go_on_after_a_stranger_claimed_to_be_a_device_without_keys) {
  keyed_harness w;
  w.tap = [](side to, bytes& m) {
    if (to != side::gw || !carries<discovery_response>(m)) return true;
    auto claim = std::get<discovery_response>(*decode_radio(m));
    claim.highest.reset();
    claim.possession.reset();
    m = encode(claim);
    return true;
  };
  w.gw->handle_update_request(w.now);
  ASSERT_TRUE(w.run_until([&] { return use_of(w.gw_disk, {1, 1}) == key_use::unproven; }, 1min));
  ASSERT_TRUE(w.run_until([&] { return use_of(w.gw_disk, {1, 1}) == key_use::lapsed; }, 1min));
  w.tap = nullptr;
  w.run(10min);
  EXPECT_GT(*w.gw->own_epoch(), (epoch{1, 1}));
  EXPECT_EQ(w.gw_disk.sessions_from, (epoch{1, 0}));
  EXPECT_EQ(w.disagreement(), "");
}

TEST(sessions, end_when_a_device_that_went_back_to_an_old_key_confirms_the_next_one) {
  keyed_harness w;
  const auto old = w.pne_disk;
  w.connect();
  w.run(5s);
  w.connect();
  w.run(5s);
  ASSERT_EQ(w.gw->own_epoch(), (epoch{1, 2}));
  w.server.forget_reports();  // otherwise the server would call the device stale
  w.crash(side::pne);
  w.pne_disk = old;
  w.power_on(side::pne);
  w.connect();
  w.run(1min);
  ASSERT_GT(*w.gw->own_epoch(), (epoch{1, 2}));
  EXPECT_GT(w.gw_disk.sessions_from, (epoch{1, 2}));
  EXPECT_LE(w.gw_disk.sessions_from, *w.gw->own_epoch());
}

TEST(sessions, end_when_the_server_has_verified_a_reset_and_before_the_new_key_is_sent) {
  keyed_harness w;
  std::optional<device_record> first;  // the write after the reset was verified
  bool sent = false;
  w.on_gw_output = [&](const gw_output& out) {
    if (const auto* p = std::get_if<gw_persist>(&out); p != nullptr && !first && p->record->resets == 1) {
      EXPECT_FALSE(sent);
      first = *p->record;
    }
    if (const auto* m = std::get_if<gw_send>(&out)) sent = sent || carries<key_delivery>(m->message);
  };
  w.factory_reset();
  w.connect();
  w.run(15s);
  ASSERT_TRUE(first);
  ASSERT_NE(first->own(), nullptr);
  EXPECT_EQ(first->own()->which, (epoch{1, 0}));
  EXPECT_TRUE(first->own_is_withdrawn());
  EXPECT_TRUE(sent);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{2, 0}));
  EXPECT_EQ(w.gw_disk.sessions_from, (epoch{2, 0}));
  EXPECT_FALSE(w.gw_disk.own_is_withdrawn());
  EXPECT_EQ(w.disagreement(), "");
}

TEST(sessions, end_when_the_server_verifies_a_reset_after_somebody_proved_the_old_key) {
  keyed_harness w;
  const auto copied = *w.pne_disk.highest();
  bool asked = false;
  w.on_gw_output = [&](const gw_output& out) { asked = asked || std::holds_alternative<gw_request>(out); };
  w.factory_reset();
  w.connect();
  ASSERT_TRUE(w.run_until([&] { return asked; }, 1min));
  discovery_request dreq;
  dreq.gw = w.o.gw;
  dreq.gw_nonce = w.random.draw<16>();
  dreq.suites = {suite_x25519};
  discovery_response drsp;
  drsp.gw_nonce_echo = first<4>(dreq.gw_nonce);
  drsp.entity = w.entity;
  drsp.pne_share = crypto::openssl_suite().x25519_generate(w.random).public_key;
  drsp.highest = copied.which;
  const auto th1 = crypto::transcript1(crypto::openssl_suite(), encode(dreq), encode_first_eight(drsp));
  drsp.possession = crypto::possession_tag(crypto::openssl_suite(), copied.eukey, th1);
  w.gw->handle_detected(w.now, {7, 99}, encode(dreq), encode(drsp));
  ASSERT_EQ(w.gw->state(), pn_gw_state::delivering) << "the copy proved its key while the server was asked";
  ASSERT_TRUE(w.run_until([&] { return w.gw_disk.generation == 2; }, 1min)) << "the server's answer";
  EXPECT_TRUE(w.gw_disk.own_is_withdrawn());
  EXPECT_EQ(w.gw_disk.resets, 1u);
  w.gw->handle_link_down(w.now, {7, 99});
  w.settle();
  EXPECT_GT(*w.gw->own_epoch(), copied.which);
  EXPECT_EQ(w.disagreement(), "");
}

TEST(sessions, of_a_reset_device_stay_ended_while_it_confirms_no_key) {
  keyed_harness w;
  w.tap = [](side, bytes& m) { return !carries<key_delivery>(m); };
  w.factory_reset();
  w.connect();
  w.run(30s);
  EXPECT_TRUE(w.gw_disk.own_is_withdrawn());
  EXPECT_EQ(use_of(w.gw_disk, {2, 0}), key_use::lapsed);
  w.crash(side::gw);
  w.power_on(side::gw);
  w.run(1s);
  EXPECT_TRUE(w.gw_disk.own_is_withdrawn());
  w.tap = nullptr;
  w.connect();
  w.run(1min);
  EXPECT_FALSE(w.gw_disk.own_is_withdrawn());
  EXPECT_EQ(w.disagreement(), "");
}

TEST(sessions, a_key_for_a_peer_without_a_proof_is_accepted_while_its_exchange_runs) {
  harness w;
  w.tap = [](side, bytes& m) { return !carries<key_delivery>(m); };
  w.connect();
  ASSERT_TRUE(w.run_until([&] { return w.gw->state() == pn_gw_state::delivering; }, 20s));
  EXPECT_EQ(use_of(w.gw_disk, {1, 0}), key_use::unproven);
  ASSERT_TRUE(w.run_until([&] { return w.gw->state() != pn_gw_state::delivering; }, 20s));
  EXPECT_EQ(use_of(w.gw_disk, {1, 0}), key_use::lapsed);
  w.tap = nullptr;
  w.settle();
  EXPECT_EQ(w.disagreement(), "");
  EXPECT_EQ(w.gw_disk.sessions_from, (epoch{1, 1})) << "the first one that it confirmed";
}

TEST(sessions, a_key_for_a_device_with_a_proof_stays_accepted_after_its_exchange) {
  keyed_harness w;
  w.tap = [](side, bytes& m) { return !carries<key_delivery>(m); };
  w.gw->handle_update_request(w.now);
  w.run(20s);
  EXPECT_EQ(use_of(w.gw_disk, {1, 1}), key_use::handed_out);
}

TEST(sessions, a_key_without_a_proof_lapses_when_the_gateway_starts_again) {
  harness w;
  w.tap = [](side, bytes& m) { return !carries<key_delivery>(m); };
  w.connect();
  ASSERT_TRUE(w.run_until([&] { return w.gw->state() == pn_gw_state::delivering; }, 20s));
  w.crash(side::gw);
  EXPECT_EQ(use_of(w.gw_disk, {1, 0}), key_use::unproven);
  EXPECT_TRUE(decode_device_summary(encode(w.gw_disk).expose())->unproven)
      << "so the gateway makes its machine";
  w.power_on(side::gw);
  w.run(1s);
  EXPECT_EQ(use_of(w.gw_disk, {1, 0}), key_use::lapsed);
}

TEST(sessions, a_key_without_a_proof_lapses_when_the_disk_takes_writes_again) {
  harness w;
  w.tap = [](side, bytes& m) { return !carries<key_delivery>(m); };
  w.connect();
  ASSERT_TRUE(w.run_until([&] { return w.gw->state() == pn_gw_state::delivering; }, 20s));
  w.full_from = w.writes;
  const int before = w.writes;
  w.run(1min);
  EXPECT_EQ(use_of(w.gw_disk, {1, 0}), key_use::unproven);
  EXPECT_GT(w.writes, before);
  EXPECT_LT(w.writes, before + 60) << "a full disk is not written without pause";
  w.full_from.reset();
  ASSERT_TRUE(w.run_until([&] { return use_of(w.gw_disk, {1, 0}) == key_use::lapsed; }, 10min));
  w.tap = nullptr;
  w.settle();
  EXPECT_EQ(w.disagreement(), "");
}

}  // namespace
}  // namespace cpns::test
