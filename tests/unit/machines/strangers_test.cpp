// Strangers that know only the Entity ID of a device: they raise no alarm, cost no key, stop no renewal, and delay
// a first contact, or the healing of a device that lost its key, for a bounded time.
#include <gtest/gtest.h>

#include <iostream>
#include <map>

#include "tests/unit/machines/crowd.hpp"
#include "tests/unit/machines/keyed_harness.hpp"

namespace cpns::test {
namespace {

using namespace protocol;
using namespace std::chrono_literals;
using kind_t = gw_event::kind_t;

constexpr lie lies[] = {lie::no_key,      lie::reset,       lie::own_epoch,
                        lie::other_epoch, lie::no_presence, lie::mixed};

constexpr seconds answers_last{55};  ///< the server is asked about the answers to one DREQ for this long

harness_options among(std::uint64_t seed, milliseconds answer_timeout = answer_timeout_default) {
  harness_options o;
  o.seed = seed;
  o.answer_timeout = answer_timeout;
  return o;
}

void expect_no_alarm(const harness& w) {
  for (const auto kind :
       {kind_t::amnesia, kind_t::presence_failed, kind_t::stale_epoch, kind_t::gateway_rolled_back})
    EXPECT_EQ(w.count(kind), 0) << static_cast<int>(kind);
}

class each_crowd : public testing::TestWithParam<std::tuple<std::size_t, milliseconds>> {
 protected:
  std::size_t k = std::get<0>(GetParam());
  milliseconds answer_timeout = std::get<1>(GetParam());
};
INSTANTIATE_TEST_SUITE_P(strangers, each_crowd,
                         testing::Combine(testing::Values(std::size_t{8}, std::size_t{64}),
                                          testing::Values(answer_timeout_default, 400ms)));

TEST_P(each_crowd, a_keyed_device_is_renewed_in_time_and_no_index_is_lost) {
  for (const auto kind : lies) {
    SCOPED_TRACE(static_cast<int>(kind));
    harness w{among(11 + static_cast<std::uint64_t>(kind), answer_timeout)};
    w.server.rekey = 4s;
    w.connect();
    ASSERT_TRUE(w.run_until([&] { return w.keyed(); }, 20s));
    crowd strangers{w, k, kind};
    for (int i = 0; i < 15; ++i) {
      const auto before = *w.gw->own_epoch();
      ASSERT_TRUE(strangers.run_until([&] { return w.gw->own_epoch() > before; }, 4s + 2s)) << i;
      EXPECT_EQ(*w.gw->own_epoch(),
                (epoch{before.generation(), static_cast<std::uint16_t>(before.index() + 1)}))
          << "an index was spent on a stranger";
    }
    expect_no_alarm(w);
    EXPECT_EQ(w.gw->record().unchained_built, 0u);
    strangers.leave();
    w.run(1s);
    EXPECT_EQ(w.disagreement(), "");
  }
}

TEST_P(each_crowd, an_unkeyed_device_gets_its_key) {
  int in_time = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    harness w{among(seed, answer_timeout)};
    const auto came = w.now;
    crowd strangers{w, k, seed % 2 == 0 ? lie::no_key : lie::mixed};
    strangers.run(5s);
    const auto asked = w.server.asked;
    const auto begun = w.now;
    w.connect();
    const seconds most{3 * (k + 1)};
    const bool keyed = strangers.run_until([&] { return w.keyed(); }, most);
    in_time += keyed ? 1 : 0;
    if (!keyed) std::cout << "seed " << seed << ": not keyed in time\n";
    EXPECT_LE(w.server.asked - asked, (w.now - begun) / 1s + 1) << "one request per second, seed " << seed;
    ASSERT_LE(strangers.dreqs.size(), 1u + static_cast<std::size_t>((w.now - came) / answers_last))
        << "no further DREQ before the server was asked about the answers to this one, seed " << seed;
    EXPECT_TRUE(strangers.run_until([&] { return w.keyed(); }, most)) << "seed " << seed;
  }
  EXPECT_GE(in_time, 18);
}

TEST_P(each_crowd, a_device_that_lost_its_key_while_its_old_link_is_half_open_is_healed) {
  const auto exchange = answer_timeout * (retries_default + 1);
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    auto o = among(seed, answer_timeout);
    o.pne_forgets = seed % 2 == 0;
    harness w{o};
    w.connect();
    ASSERT_TRUE(w.run_until([&] { return w.keyed(); }, 20s));
    crowd strangers{w, k, lie::mixed};
    strangers.run(15s);
    if (!o.pne_forgets) w.factory_reset();
    w.leave_half_open();
    if (o.pne_forgets) w.power_on(side::pne);
    w.connect();
    const auto most = exchange + 15s + 3s * (k + 1);
    EXPECT_TRUE(
        strangers.run_until([&] { return w.keyed() && w.pne->current_epoch() == w.gw->own_epoch(); }, most))
        << "seed " << seed << ": not healed in " << most / 1s << " s";
  }
}

TEST_P(each_crowd, a_device_that_moved_to_another_link_is_renewed_at_once) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    harness w{among(seed, answer_timeout)};
    w.connect();
    ASSERT_TRUE(w.run_until([&] { return w.keyed(); }, 20s));
    crowd strangers{w, k, lie::mixed};
    strangers.run(milliseconds{1000 * seed});
    const auto before = *w.gw->own_epoch();
    w.leave_half_open();
    w.connect();
    EXPECT_TRUE(strangers.run_until([&] { return w.gw->own_epoch() > before; }, 2s)) << "seed " << seed;
    expect_no_alarm(w);
  }
}

TEST(strangers, one_that_answers_without_end_does_not_evict_the_devices_answer) {
  constexpr std::size_t k = 8;
  int in_time = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    harness w{among(seed)};
    crowd strangers{w, k, lie::mixed};
    strangers.floods = 1;
    strangers.run(5s);
    w.connect();
    const bool keyed = strangers.run_until([&] { return w.keyed(); }, 3s * (k + 1));
    in_time += keyed ? 1 : 0;
    if (!keyed) std::cout << "seed " << seed << ": not keyed in time\n";
  }
  EXPECT_GE(in_time, 18);
}

bool is_answer(side to, const bytes& m) {
  return to == side::gw && std::holds_alternative<discovery_response>(*decode_radio(m));
}

TEST(strangers, the_good_link_stays_while_the_device_answers_one_of_the_repetitions) {
  for (const auto kind : lies) {
    SCOPED_TRACE(static_cast<int>(kind));
    keyed_harness w{among(21 + static_cast<std::uint64_t>(kind))};
    w.server.rekey = 4s;
    const auto good = w.link;
    std::map<byte_array<4>, int> lost;  // of each exchange the first three answers, and of each update too
    w.tap = [&](side to, bytes& m) {
      return !is_answer(to, m) || ++lost[std::get<discovery_response>(*decode_radio(m)).gw_nonce_echo] > 3;
    };
    crowd strangers{w, 8, kind};
    strangers.run(15s);
    const auto asked = w.server.asked;
    for (int i = 0; i < 3; ++i) {
      const auto before = *w.gw->own_epoch();
      w.gw->handle_update_request(w.now);
      // An exchange that the strangers began may be open, and is as slow.
      EXPECT_TRUE(strangers.run_until([&] { return w.gw->own_epoch() > before; }, 10s)) << i;
      EXPECT_EQ(w.gw->own_epoch()->value(), before.value() + 1) << "an index was spent on a stranger";
      strangers.run(3s);
    }
    EXPECT_GE(lost.size(), 3u);
    EXPECT_EQ(w.link, good) << "the good link was closed";
    EXPECT_EQ(w.server.asked, asked);
    expect_no_alarm(w);
  }
}

TEST(strangers, a_good_link_that_was_silent_through_all_repetitions_is_closed) {
  for (const auto kind : {lie::no_key, lie::reset, lie::mixed}) {
    SCOPED_TRACE(static_cast<int>(kind));
    keyed_harness w{among(31 + static_cast<std::uint64_t>(kind))};
    const auto good = w.link;
    w.run(15s);
    crowd strangers{w, 8, kind};
    std::optional<byte_array<4>> exchange;
    int lost = 0;
    w.tap = [&](side to, bytes& m) {
      if (!is_answer(to, m)) return true;
      const auto echo = std::get<discovery_response>(*decode_radio(m)).gw_nonce_echo;
      if (!exchange) exchange = echo;
      lost += exchange == echo ? 1 : 0;
      return exchange != echo;
    };
    const auto before = *w.gw->own_epoch();
    const auto begun = w.now;
    w.gw->handle_update_request(w.now);
    EXPECT_TRUE(strangers.run_until([&] { return w.link != good; }, 20s));
    EXPECT_GE(w.now - begun, answer_timeout_default * (retries_default + 1));
    EXPECT_EQ(lost, retries_default + 1);
    EXPECT_TRUE(strangers.run_until([&] { return w.gw->own_epoch() > before; }, 5s)) << "it dials again";
    expect_no_alarm(w);
  }
}

TEST(strangers, none_begins_an_exchange_within_10_seconds_of_a_verified_tag) {
  keyed_harness w;
  w.run(20s);
  time_point asked = time_zero;  // when the first DREQ went to the stranger
  const gw_link other{7, 1};
  w.elsewhere = [&](gw_link, const bytes& m) {
    const bool dreq = !m.empty() && std::holds_alternative<discovery_request>(*decode_radio(m));
    if (dreq && asked == time_zero) asked = w.now;
  };
  w.gw->handle_update_request(w.now);
  ASSERT_TRUE(w.run_until([&] { return w.gw->own_epoch() == epoch{1, 1}; }, 2s));
  const auto verified = w.now;
  w.run(1s);
  w.gw->handle_detected(w.now, other, bytes{1}, bytes{2});
  w.run(30s);
  EXPECT_GE(asked - verified, 10s);
  EXPECT_LE(asked - verified, 11s) << "it is only delayed";
}

TEST(strangers, they_cause_at_most_one_exchange_in_10_seconds) {
  keyed_harness w;
  int dreqs = 0;
  w.tap = [&](side to, bytes& m) {
    dreqs += to == side::pne && std::holds_alternative<discovery_request>(*decode_radio(m)) ? 1 : 0;
    return true;
  };
  crowd strangers{w, 8, lie::mixed};
  strangers.run(100s);
  EXPECT_GE(dreqs, 5);
  EXPECT_LE(dreqs, 10);
}

TEST(strangers, a_notice_counts_on_the_good_link_alone) {
  keyed_harness w;
  const gw_link other{7, 1};
  w.gw->handle_detected(w.now, other, bytes{1}, bytes{2});
  w.run(20s);
  w.gw->handle_frame(w.now, other, encode(pne_notice{pne_notice::kind_t::awake}));
  w.gw->handle_frame(w.now, other, encode(pne_notice{pne_notice::kind_t::going_to_sleep}));
  w.run(2s);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 0}));
  EXPECT_EQ(w.gw->state(), pn_gw_state::keyed);
  w.gw->handle_frame(w.now, *w.link, encode(pne_notice{pne_notice::kind_t::awake}));
  w.run(2s);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 1}));
}

TEST(strangers, a_confirmation_that_a_stranger_repeats_does_not_move_the_good_link) {
  keyed_harness w;
  const gw_link other{7, 1};
  w.gw->handle_detected(w.now, other, bytes{1}, bytes{2});
  w.tap = [&](side to, bytes& m) {
    if (to != side::gw || !std::holds_alternative<key_confirmation>(*decode_radio(m))) return true;
    w.gw->handle_frame(w.now, other, m);
    return false;
  };
  w.gw->handle_update_request(w.now);
  w.run(2s);
  ASSERT_EQ(w.gw->own_epoch(), (epoch{1, 1}));
  w.run(15s);
  w.gw->handle_frame(w.now, other, encode(pne_notice{pne_notice::kind_t::awake}));
  w.run(2s);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 1}));
  EXPECT_EQ(w.disagreement(), "");
}

TEST(strangers, amnesia_is_reported_when_the_delivery_is_confirmed) {
  harness_options o;
  o.pne_forgets = true;
  keyed_harness w{o};
  w.crash(side::pne);
  bool deaf = true;
  w.tap = [&](side to, bytes& m) {
    return !deaf || to == side::gw || !std::holds_alternative<key_delivery>(*decode_radio(m));
  };
  w.power_on(side::pne);
  w.connect();
  ASSERT_TRUE(w.run_until([&] { return w.deliveries.size() == 2; }, 30s));
  w.run(5s);
  EXPECT_EQ(w.count(kind_t::amnesia), 0) << "it may have been a stranger that asked";
  deaf = false;
  w.run(1min);
  EXPECT_EQ(w.count(kind_t::amnesia), 1);
  EXPECT_EQ(w.disagreement(), "");
}

TEST(strangers, a_random_claim_is_healed_within_the_budget_when_the_server_is_down) {
  int healed = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    auto o = among(seed);
    o.pne_forgets = true;
    keyed_harness w{o};
    w.server_up = false;
    w.crash(side::pne);
    crowd strangers{w, 3, lie::no_key};
    w.power_on(side::pne);
    w.connect();
    healed += strangers.run_until([&] { return w.pne->current_epoch().has_value(); }, 10min) ? 1 : 0;
    EXPECT_LE(w.gw->record().unchained_built, amnesia_budget_default);
    EXPECT_EQ(w.faults, std::vector<std::string>{});
  }
  EXPECT_GE(healed, 8);
}

TEST(strangers, a_device_that_proves_itself_while_the_server_is_asked_keeps_the_servers_keys) {
  keyed_harness w;
  w.disconnect();
  w.run(15s);
  const gw_link other{7, 1};
  discovery_request dreq;
  dreq.gw = w.o.gw;
  dreq.suites = {suite_x25519};
  seeded_entropy random{1};
  w.elsewhere = [&](gw_link to, const bytes& m) {
    const auto decoded = decode_radio(m);
    if (const auto* asked = decoded ? std::get_if<discovery_request>(&*decoded) : nullptr)
      w.gw->handle_frame(w.now, to, encode(forged(*asked, w.entity, lie::reset, {}, random)));
  };
  w.gw->handle_detected(w.now, other, encode(dreq), encode(forged(dreq, w.entity, lie::reset, {}, random)));
  ASSERT_TRUE(w.run_until([&] { return w.gw->record().request.has_value(); }, 30s));
  const auto id = *w.gw->record().request;
  w.server_up = false;
  w.connect();
  ASSERT_TRUE(w.run_until([&] { return w.gw->own_epoch() == epoch{1, 1}; }, 2s));
  assigned_keys keys;
  keys.generation = 2;
  keys.set = set_id{{5}};
  keys.eukeys.resize(3);
  w.gw->handle_response(w.now, id, keys, 1);
  EXPECT_EQ(w.gw->record().generation, 2u);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 1}));
}

}  // namespace
}  // namespace cpns::test
