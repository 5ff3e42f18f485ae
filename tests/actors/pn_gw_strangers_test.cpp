// Strangers that know one Entity ID, each with its own address, around the gateway's real actors on the virtual
// clock.
#include <algorithm>
#include <iostream>

#include "tests/actors/pn_gw_harness.hpp"
#include "tests/unit/machines/lies.hpp"

namespace cpns::gateway_actor_tests {
namespace {

using test::lie;

/// Each answers every DREQ at once, and reconnects when its link is closed, or at random.
class radio_crowd {
 public:
  radio_crowd(gateway_harness& p, const headset_end& claimed, std::size_t size, lie kind, std::uint64_t seed)
      : p_(p), claimed_(claimed), kind_(kind), random_(seed), all_(size, 0) {
    p.radio.elsewhere = [this](plugins::link_id to, byte_view m) { heard(to, m); };
  }
  ~radio_crowd() { p_.radio.elsewhere = nullptr; }
  radio_crowd(const radio_crowd&) = delete;
  radio_crowd& operator=(const radio_crowd&) = delete;

  template <class Done>
  bool run_until(Done done, milliseconds most) {
    for (const auto end = p_.now + most; p_.now < end && !done();) {
      come();
      p_.advance(milliseconds{100});
    }
    return done();
  }
  void run(milliseconds span) {
    (void)run_until([] { return false; }, span);
  }

 private:
  void come() {
    for (std::size_t i = 0; i < all_.size(); ++i) {
      if (all_[i] != 0 && random_.below(40) == 0)
        p_.radio.inbox->link_down(std::exchange(all_[i], 0), "left");
      if (all_[i] != 0 || random_.below(3) == 0) continue;
      all_[i] = p_.radio.new_link();
      p_.radio.inbox->link_up(all_[i], 0, "tcp:10.0.0." + std::to_string(i) + ":" + std::to_string(all_[i]));
    }
  }
  void heard(plugins::link_id to, byte_view m) {
    const auto it = std::find(all_.begin(), all_.end(), to);
    if (it == all_.end()) return;
    if (m.empty()) {
      p_.radio.inbox->link_down(std::exchange(*it, 0), "closed");
      return;
    }
    const auto said = protocol::decode_radio(m);
    if (const auto* dreq = said ? std::get_if<protocol::discovery_request>(&*said) : nullptr)
      p_.radio.inbox->message(to,
                              encode(test::forged(*dreq, claimed_.entity, kind_, claimed_.key(), random_)));
  }

  gateway_harness& p_;
  const headset_end& claimed_;
  lie kind_;
  seeded_entropy random_;
  std::vector<plugins::link_id> all_;
};

struct crowd_case {
  std::size_t k;
  milliseconds answer_timeout;
};

class among_strangers : public testing::TestWithParam<crowd_case> {
 protected:
  gateway_choices choices() const {
    gateway_choices c;
    c.rekey = seconds{5};
    c.answer_timeout = GetParam().answer_timeout;
    return c;
  }
  std::size_t k = GetParam().k;
  milliseconds exchange = GetParam().answer_timeout * (protocol::retries_default + 1);
};
INSTANTIATE_TEST_SUITE_P(pn_gw_strangers, among_strangers,
                         testing::Values(crowd_case{8, protocol::answer_timeout_default},
                                         crowd_case{8, milliseconds{400}},
                                         crowd_case{64, protocol::answer_timeout_default},
                                         crowd_case{64, milliseconds{400}}));

TEST_P(among_strangers, renews_keyed_devices_in_time_without_loss_or_alarm) {
  for (const auto kind : {lie::no_key, lie::no_presence, lie::mixed}) {
    SCOPED_TRACE(static_cast<int>(kind));
    gateway_harness p{choices()};
    std::vector<headset_end*> all;
    for (int i = 1; i <= 4; ++i) all.push_back(&p.keyed_pne(i));
    p.advance(seconds{1});
    radio_crowd crowd{p, *all[0], k, kind, 7};
    std::vector<epoch> last;
    std::vector<time_point> since;
    for (auto* h : all) last.push_back(*p.own_key(*h)), since.push_back(p.now);
    for (const auto end = p.now + seconds{60}; p.now < end;) {
      crowd.run(milliseconds{100});
      for (std::size_t i = 0; i < all.size(); ++i) {
        const auto own = *p.own_key(*all[i]);
        ASSERT_LE(p.now - since[i], seconds{5 + 2}) << "device " << i << " is renewed too late";
        if (own == last[i]) continue;
        EXPECT_EQ(own.value(), last[i].value() + 1) << "an index was lost";
        last[i] = own;
        since[i] = p.now;
      }
    }
    for (const auto* alarm : {"amnesia", "presence-failed", "stale-epoch", "gateway-rolled-back"})
      EXPECT_FALSE(p.logged("\"" + std::string{alarm} + "\"")) << alarm;
    EXPECT_EQ(p.record(*all[0])->unchained_built, 0u);
  }
}

TEST_P(among_strangers, an_unkeyed_device_gets_its_key) {
  int in_time = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    gateway_harness p{choices()};
    auto& h = p.pne(1);
    radio_crowd crowd{p, h, k, seed % 2 == 0 ? lie::no_key : lie::mixed, seed};
    crowd.run(seconds{3});
    const auto asked = p.assignments().size();
    const auto begun = p.now;
    p.radio.link_up(h);
    const bool keyed = crowd.run_until([&] { return h.key().has_value(); }, seconds{3 * (k + 1)});
    in_time += keyed ? 1 : 0;
    if (!keyed) std::cout << "seed " << seed << ": not keyed in time\n";
    EXPECT_LE(p.assignments().size() - asked, static_cast<std::size_t>((p.now - begun) / seconds{1}) + 1)
        << "one request a second";
  }
  EXPECT_GE(in_time, 18);
}

TEST_P(among_strangers, a_device_that_moved_is_renewed_and_one_that_was_reset_is_healed) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    gateway_harness p{choices()};
    auto& h = p.keyed_pne(1);
    radio_crowd crowd{p, h, k, lie::mixed, seed};
    crowd.run(seconds{12});
    p.radio.leave_half_open(h);
    const auto before = *p.own_key(h);
    p.radio.link_up(h);
    EXPECT_TRUE(crowd.run_until([&] { return p.own_key(h) > before; }, seconds{2})) << "seed " << seed;
    p.radio.leave_half_open(h);
    h.machine.handle_factory_reset(p.now);
    p.radio.link_up(h);
    const milliseconds most = exchange + seconds{15} + seconds{3 * (k + 1)};
    EXPECT_TRUE(crowd.run_until([&] { return h.key().has_value() && p.own_key(h) == h.key(); }, most))
        << "seed " << seed;
  }
}

TEST(pn_gw_strangers, limits_the_requests_of_a_claimant_that_hops_between_links) {
  gateway_harness p;
  auto& h = p.pne(1);
  seeded_entropy random{3};
  plugins::link_id link = 0;
  p.radio.elsewhere = [&](plugins::link_id to, byte_view m) {
    if (to != link || m.empty()) return;
    const auto said = protocol::decode_radio(m);
    if (const auto* dreq = said ? std::get_if<protocol::discovery_request>(&*said) : nullptr)
      p.radio.inbox->message(to, encode(test::forged(*dreq, h.entity, lie::no_key, {}, random)));
  };
  for (int i = 0; i < 300; ++i) {
    link = p.radio.new_link();
    p.radio.inbox->link_up(link, 0, "tcp:10.0.0.9:" + std::to_string(i));
    p.advance(milliseconds{100});
    p.radio.inbox->link_down(link, "hops");
  }
  EXPECT_LE(p.assignments().size(), 6u) << "in 30 s its back-off has doubled four times";
  EXPECT_GE(p.assignments().size(), 2u);
  p.radio.link_up(h);
  EXPECT_TRUE(p.advance_until([&] { return h.key().has_value(); }, seconds{2}));
}

TEST(pn_gw_strangers, evicts_invented_entity_ids_and_bounds_their_log_lines) {
  gateway_choices c;
  c.links_max = 40;
  gateway_harness p{c};
  auto& served = p.keyed_pne(1);
  seeded_entropy random{4};
  std::map<plugins::link_id, entity_id> names;
  p.radio.elsewhere = [&](plugins::link_id to, byte_view m) {
    const auto at = names.find(to);
    if (at == names.end() || m.empty()) return;
    const auto said = protocol::decode_radio(m);
    if (const auto* dreq = said ? std::get_if<protocol::discovery_request>(&*said) : nullptr)
      p.radio.inbox->message(to, encode(test::forged(*dreq, at->second, lie::no_key, {}, random)));
  };
  for (int i = 0; i < 600; ++i) {
    const auto link = p.radio.new_link();
    names.emplace(link, entity_id::parse("urn:dev:os:32473-" + std::to_string(i)).value());
    p.radio.inbox->link_up(link, 0, "10.0.1.1:1");
    p.settle();
    if (i % 3 == 0) p.radio.inbox->link_down(link, "left");
  }
  EXPECT_NE(served.link, 0u) << "a verified link is not evicted";
  for (const auto& [link, name] : names) p.radio.inbox->link_down(link, "left");
  p.advance(seconds{60});
  EXPECT_EQ(p.list().size(), 1u);
  EXPECT_TRUE(p.logged("lines-left-out"));
}

std::size_t count_of(const std::string& stats, const std::string& what) {
  const auto at = stats.find("\"" + what + "\":");
  EXPECT_NE(at, std::string::npos) << stats;
  return std::stoul(stats.substr(at + what.size() + 3));
}

TEST(pn_gw_strangers, unverified_links_use_half_of_links_max_and_evict_no_verified_link) {
  gateway_choices c;
  c.links_max = 40;
  gateway_harness p{c};
  std::vector<headset_end*> served;
  std::vector<plugins::link_id> links;
  for (int i = 1; i <= 5; ++i) {
    served.push_back(&p.keyed_pne(i));
    links.push_back(served.back()->link);
  }
  EXPECT_EQ(count_of(p.stats(), "links_unproven"), 0u);
  std::vector<plugins::link_id> silent;
  for (int i = 0; i < 60; ++i) {
    silent.push_back(p.radio.new_link());
    p.radio.inbox->link_up(silent.back(), 0, "tcp:10.0.2." + std::to_string(i) + ":1");
    p.settle();
    EXPECT_LE(count_of(p.stats(), "links_unproven"), 20u) << i;
  }
  EXPECT_EQ(count_of(p.stats(), "links_unproven"), 20u);
  EXPECT_EQ(count_of(p.stats(), "links"), 25u);
  EXPECT_EQ(p.radio.disconnected.size(), 40u) << "each newcomer evicted one";
  for (std::size_t i = 0; i < served.size(); ++i) EXPECT_EQ(served[i]->link, links[i]) << i;
  // A new device is accepted; once verified, its link does not count for that half.
  auto& late = p.keyed_pne(6);
  EXPECT_NE(late.link, 0u);
  EXPECT_LT(count_of(p.stats(), "links_unproven"), 20u);
}

TEST(pn_gw_strangers, only_devices_use_the_other_half_of_links_max) {
  gateway_choices c;
  c.links_max = 40;
  gateway_harness p{c};
  std::vector<headset_end*> served;
  for (int i = 1; i <= 30; ++i) served.push_back(&p.keyed_pne(i));
  for (int i = 0; i < 60; ++i) {
    p.radio.inbox->link_up(p.radio.new_link(), 0, "tcp:10.0.2." + std::to_string(i) + ":1");
    p.settle();
    EXPECT_LE(count_of(p.stats(), "links"), 40u) << i;
  }
  EXPECT_EQ(count_of(p.stats(), "links_unproven"), 10u);
  for (const auto* h : served) EXPECT_NE(h->link, 0u) << h->address;
}

TEST(pn_gw_strangers, a_crowd_larger_than_its_places_is_served_in_turn) {
  constexpr std::size_t places = 1200, pnes = 2000;
  gateway_choices c;
  c.links_max = 2 * places;
  c.devices_max = 2 * pnes;
  gateway_harness p{c};
  std::vector<headset_end*> crowd;
  for (std::size_t i = 1; i <= pnes; ++i) crowd.push_back(&p.pne(static_cast<int>(i)));
  std::size_t dreqs = 0;
  p.radio.loses = [&](air::way to, byte_view m) {
    dreqs += to == air::way::to_pne && is_a<protocol::discovery_request>(m) ? 1 : 0;
    return false;
  };
  const auto all_keyed = [&] {
    bool all = true;
    for (auto* h : crowd) {
      if (h->key()) continue;
      all = false;
      if (h->link == 0) p.radio.link_up(*h);
    }
    return all;
  };
  EXPECT_TRUE(p.advance_until(all_keyed, seconds{10}));
  // The server refuses a few requests, because it has too many; their devices are asked again.
  EXPECT_LE(dreqs, pnes + pnes / 20) << "no link is dropped that was asked";
  EXPECT_GE(p.radio.disconnected.size(), pnes - places) << "newcomers took the places of those that waited";
  EXPECT_EQ(count_of(p.stats(), "links_unproven"), 0u);
}

}  // namespace
}  // namespace cpns::gateway_actor_tests
