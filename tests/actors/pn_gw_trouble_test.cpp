// Failing stores, dying actors, restarts, lossy and broken radios.
#include <algorithm>

#include "base/cbor.hpp"
#include "tests/actors/pn_gw_harness.hpp"

namespace cpns::gateway_actor_tests {
namespace {

using protocol::assignment_reason;

TEST(pn_gw_trouble, sends_nothing_that_depends_on_a_write_before_it_is_durable) {
  gateway_harness p;
  auto& h = p.pne(1);
  p.hold_gateway_writes = true;
  bool delivered = false;
  p.radio.loses = [&](air::way, byte_view m) {
    delivered = delivered || is_a<protocol::key_delivery>(m);
    return false;
  };
  p.radio.link_up(h);
  p.settle();
  ASSERT_EQ(p.assignments().size(), 1u) << "a device without a set has nothing to store before step 8";
  ASSERT_FALSE(p.gw_held.empty()) << "step 8";
  EXPECT_FALSE(delivered);
  while (!p.gw_held.empty() && !delivered) {
    const auto before = p.record(h);
    EXPECT_FALSE(delivered);
    p.complete_gateway();
    p.settle();
    if (delivered) {
      const auto r = p.record(h);
      ASSERT_TRUE(r.has_value());
      ASSERT_NE(r->find({1, 0}), nullptr);
      EXPECT_EQ(r->find({1, 0})->use, protocol::key_use::unproven) << "the index is spent on the disk first";
    }
  }
  EXPECT_TRUE(delivered);
  p.hold_gateway_writes = false;
  p.settle();
  EXPECT_TRUE(h.key().has_value());
}

/// Advances until `done`; the PNE reconnects when its link was closed.
template <class Done>
bool with_redials(gateway_harness& p, headset_end& h, Done done, seconds most) {
  for (const auto until = p.now + most; p.now < until && !done();) {
    if (h.link == 0) p.radio.link_up(h);
    p.advance(milliseconds{500});
  }
  return done();
}

TEST(pn_gw_trouble, a_full_disk_stops_one_step_and_the_role_recovers) {
  gateway_harness p;
  auto& served = p.keyed_pne(1);
  p.gw_faulty.fail_writes(errc::store_full);
  auto& h = p.pne(2);
  p.radio.link_up(h);
  p.advance(seconds{30});
  EXPECT_FALSE(h.key().has_value());
  EXPECT_TRUE(p.logged("record-not-written"));
  EXPECT_TRUE(p.failures.empty());
  EXPECT_NE(p.show(served).find("\"state\":\"keyed\""), std::string::npos);
  p.gw_faulty.repair();
  EXPECT_TRUE(with_redials(
      p, h, [&] { return h.key().has_value(); }, seconds{700}));
  EXPECT_EQ(p.own_key(h), h.key());
}

TEST(pn_gw_trouble, a_key_without_a_proof_lapses_when_the_disk_takes_writes_again_and_the_device_is_gone) {
  gateway_harness p;
  auto& h = p.pne(1);
  p.radio.loses = [](air::way, byte_view m) { return is_a<protocol::key_delivery>(m); };
  p.radio.link_up(h);
  p.settle();
  const auto use = [&] {
    const auto r = p.record(h);
    const auto* key = r ? r->find({1, 0}) : nullptr;
    return key == nullptr ? protocol::key_use::unused : key->use;
  };
  ASSERT_EQ(use(), protocol::key_use::unproven);
  p.gw_faulty.fail_writes(errc::store_full);
  p.radio.link_down(h);
  p.advance(seconds{30});
  EXPECT_EQ(use(), protocol::key_use::unproven);
  p.gw_faulty.repair();
  p.advance(seconds{30});
  EXPECT_EQ(use(), protocol::key_use::lapsed) << "the device never came back";
}

class lost_write : public testing::TestWithParam<std::tuple<int, storage::fault_point>> {};

TEST_P(lost_write, ends_with_the_same_key_on_both_sides) {
  const auto [n, point] = GetParam();
  gateway_choices c;
  c.rekey = seconds{300};
  gateway_harness p{c};
  auto& h = p.pne(1);
  p.gw_faulty.fail_write(p.gw_faulty.writes() + static_cast<unsigned>(n), point);
  p.radio.link_up(h);
  EXPECT_TRUE(with_redials(
      p, h, [&] { return h.key().has_value() && p.own_key(h) == h.key(); }, seconds{400}));
  const auto first = h.key();
  EXPECT_TRUE(with_redials(
      p, h, [&] { return h.key() > first && p.own_key(h) == h.key(); }, seconds{700}));
  const auto r = p.record(h);
  EXPECT_EQ(r->own()->eukey, h.stored.highest()->eukey);
}
INSTANTIATE_TEST_SUITE_P(each_write, lost_write,
                         testing::Combine(testing::Range(1, 8),
                                          testing::Values(storage::fault_point::before_durable,
                                                          storage::fault_point::after_durable)));

/// Collects the KDELs on the air by their epoch, and expects that no index is in two different ones.
void watch_deliveries(gateway_harness& p, std::map<epoch, bytes>& built) {
  p.radio.loses = [&built](air::way, byte_view m) {
    const auto d = protocol::decode_radio(m);
    if (const auto* k = d ? std::get_if<protocol::key_delivery>(&*d) : nullptr) {
      const auto [it, fresh] = built.emplace(k->which, to_bytes(m));
      EXPECT_TRUE(fresh || equal(it->second, m)) << "index " << k->which.text() << " in two KDELs";
    }
    return false;
  };
}

/// The device comes, and `n` writes of the gateway become durable, one by one; later ones are held.
void hold_after(gateway_harness& p, headset_end& h, int n) {
  p.hold_gateway_writes = true;
  p.radio.link_up(h);
  p.settle();
  for (int i = 0; i < n && !p.gw_held.empty(); ++i) {
    p.complete_gateway();
    p.settle();
  }
}

class writes_that_turn_up : public testing::TestWithParam<int> {};

TEST_P(writes_that_turn_up, are_the_state_from_which_the_device_continues) {
  gateway_choices c;
  c.rekey = seconds{300};
  gateway_harness p{c};
  auto& h = p.pne(1);
  std::map<epoch, bytes> built;
  watch_deliveries(p, built);
  // The n-th write of the device and all later ones fail for a while.
  hold_after(p, h, GetParam());
  p.gw_faulty.fail_writes(errc::store_write_failed, storage::fault_point::turns_up_later);
  p.hold_gateway_writes = false;
  (void)with_redials(
      p, h, [] { return false; }, seconds{20});
  const auto delivered = built.size();
  const auto tried = p.gw_faulty.writes();
  (void)with_redials(
      p, h, [] { return false; }, seconds{20});
  EXPECT_EQ(p.gw_faulty.writes(), tried) << "nothing is decided while the content of the store is unknown";
  EXPECT_EQ(built.size(), delivered);
  p.gw_faulty.repair();
  EXPECT_TRUE(with_redials(
      p, h, [&] { return h.key().has_value() && p.own_key(h) == h.key(); }, seconds{60}));
  EXPECT_EQ(p.record(h)->own()->eukey, h.stored.highest()->eukey);
  EXPECT_TRUE(p.failures.empty());
}
INSTANTIATE_TEST_SUITE_P(each_write, writes_that_turn_up, testing::Range(0, 4));

class restart_after_write : public testing::TestWithParam<int> {};

TEST_P(restart_after_write, no_index_is_given_twice_and_the_pne_ends_keyed) {
  gateway_harness p;
  auto& h = p.pne(1);
  std::map<epoch, bytes> built;
  watch_deliveries(p, built);
  hold_after(p, h, GetParam());
  // The process dies: writes that are not durable are lost.
  for (auto& w : p.gw_held) w.done(fail(errc::store_write_failed, "killed"));
  p.gw_held.clear();
  p.hold_gateway_writes = false;
  p.radio.link_down(h);
  p.stop();
  p.start();
  p.connect_server();
  p.advance(seconds{4});
  p.radio.link_up(h);
  EXPECT_TRUE(p.advance_until([&] { return h.key().has_value() && p.own_key(h) == h.key(); }, seconds{120}));
}
INSTANTIATE_TEST_SUITE_P(each_write, restart_after_write, testing::Range(0, 6));

TEST(pn_gw_trouble, a_device_whose_actor_died_continues_from_the_store) {
  gateway_harness p;
  auto& h = p.pne(1);
  auto& other = p.keyed_pne(2);
  int left = 1;
  p.radio.breaks = [&](byte_view m) { return is_a<protocol::key_delivery>(m) && left-- > 0; };
  p.radio.link_up(h);
  p.settle();
  EXPECT_TRUE(p.logged("device-died"));
  EXPECT_TRUE(p.logged("the radio of this test breaks"));
  EXPECT_EQ(h.link, 0u) << "its link is closed, so that the PNE reconnects";
  EXPECT_NE(p.stats().find("\"devices_died\":1"), std::string::npos);
  p.advance(seconds{3});
  p.radio.link_up(h);
  EXPECT_TRUE(p.advance_until([&] { return h.key().has_value(); }, seconds{30}));
  EXPECT_EQ(p.own_key(h), h.key());
  EXPECT_GT(h.key(), (epoch{1, 0})) << "the index of the interrupted delivery is not used again";
  EXPECT_TRUE(other.link != 0 && p.failures.empty());
}

TEST(pn_gw_trouble, a_pending_report_survives_a_restart) {
  gateway_harness p;
  const auto is_report = [](const protocol::link_request& r) {
    return std::holds_alternative<protocol::epoch_report>(r.body);
  };
  p.swallows = is_report;
  auto& h = p.keyed_pne(1);
  p.advance(seconds{1});
  p.radio.link_down(h);
  p.stop();
  p.asked.clear();
  p.swallows = nullptr;
  p.start();
  p.connect_server();
  p.advance(seconds{1});
  EXPECT_EQ(std::count_if(p.asked.begin(), p.asked.end(), is_report), 1) << "without the PNE being seen";
  const auto row = p.sealed->get(storage::table::entities, as_bytes(h.entity.text())).value();
  EXPECT_EQ(protocol::decode_entity_record(row->expose()).value().last_report, h.key());
}

TEST(pn_gw_trouble, an_unreadable_record_affects_only_its_own_device) {
  gateway_harness p;
  auto& damaged = p.keyed_pne(1);
  auto& whole = p.keyed_pne(2);
  const auto before = p.own_key(whole);
  for (auto* h : {&damaged, &whole}) p.radio.link_down(*h);
  p.stop();
  storage::sealed_batch batch;
  batch.push_back({storage::table::peers, to_bytes(as_bytes(damaged.entity.text())),
                   secret_bytes{cbor::writer{}.array(1).uint(1).take()}});
  ASSERT_TRUE(p.gw_sealed->write(batch).has_value());
  p.start();
  p.connect_server();
  EXPECT_TRUE(p.logged("record-unreadable"));
  EXPECT_TRUE(p.logged(damaged.entity.text() + ": device record"));
  p.advance(seconds{3});
  for (auto* h : {&damaged, &whole}) p.radio.link_up(*h);
  EXPECT_TRUE(
      p.advance_until([&] { return whole.key() > before && p.own_key(whole) == whole.key(); }, seconds{60}));
  EXPECT_EQ(damaged.link, 0u);
  EXPECT_TRUE(p.failures.empty());
}

TEST(pn_gw_trouble, recovers_from_a_lost_confirmation_at_the_next_exchange) {
  gateway_harness p;
  auto& h = p.pne(1);
  p.radio.loses = [](air::way, byte_view m) { return is_a<protocol::key_confirmation>(m); };
  p.radio.link_up(h);
  p.advance(seconds{1});
  EXPECT_TRUE(h.key().has_value());
  EXPECT_EQ(p.own_key(h), std::nullopt);
  p.radio.link_down(h);
  p.radio.loses = nullptr;
  p.advance(seconds{70});
  p.radio.link_up(h);
  EXPECT_TRUE(p.advance_until([&] { return p.own_key(h) == h.key(); }, seconds{30}));
}

class lossy_air : public testing::TestWithParam<unsigned> {};

TEST_P(lossy_air, keys_every_device_in_the_end) {
  gateway_choices c;
  c.rekey = seconds{120};
  gateway_harness p{c};
  seeded_entropy dice{GetParam()};
  p.radio.loses = [&dice](air::way, byte_view) { return dice.below(100) < 30; };
  std::vector<headset_end*> all;
  for (int i = 0; i < 8; ++i) all.push_back(&p.pne(i));
  const auto all_agree = [&] {
    return std::all_of(all.begin(), all.end(),
                       [&](auto* h) { return h->key().has_value() && p.own_key(*h) == h->key(); });
  };
  bool agreed = false;
  for (int round = 0; round < 60 && !agreed; ++round) {
    for (auto* h : all)
      if (h->link == 0) p.radio.link_up(*h);
    p.advance(seconds{10});
    agreed = round > 20 && all_agree();
  }
  EXPECT_TRUE(agreed);
  for (auto* h : all) EXPECT_EQ(p.record(*h)->own()->eukey, h->stored.highest()->eukey);
}
INSTANTIATE_TEST_SUITE_P(seeds, lossy_air, testing::Range(1u, 5u));

TEST(pn_gw_trouble, a_radio_that_fails_ends_the_role_with_its_reason) {
  gateway_harness p;
  p.radio.inbox->failed({errc::plugin_failed, "the adapter is gone"});
  p.settle();
  ASSERT_EQ(p.failures.size(), 1u);
  EXPECT_NE(p.failures[0].find("the adapter is gone"), std::string::npos);
}

TEST(pn_gw_trouble, a_server_link_or_a_supervisor_that_dies_ends_the_role) {
  gateway_harness p;
  caf::anon_send_exit(p.link, caf::exit_reason::unhandled_exception);
  p.settle();
  EXPECT_EQ(p.failures.size(), 1u);
  caf::anon_send_exit(p.supervisor, caf::exit_reason::unhandled_exception);
  p.settle();
  EXPECT_EQ(p.failures.size(), 2u);
}

TEST(pn_gw_trouble, draining_waits_for_the_pending_write) {
  gateway_harness p;
  auto& h = p.pne(1);
  p.hold_gateway_writes = true;
  p.radio.link_up(h);
  p.settle();
  ASSERT_EQ(p.gw_held.size(), 1u);
  const auto before = p.system.registry().running();
  caf::anon_send(p.supervisor, actors::sup_stop{});
  p.settle();
  EXPECT_EQ(p.system.registry().running(), before - 2) << "supervisor and link ended, the device waits";
  p.complete_gateway();
  p.settle();
  EXPECT_EQ(p.system.registry().running(), before - 3);
}

}  // namespace
}  // namespace cpns::gateway_actor_tests
