// The own key of the gateway that a confirmation replaces: whether a program may still use it.
#include <vector>

#include "tests/unit/machines/keyed_harness.hpp"

namespace cpns::test {
namespace {

using namespace protocol;
using namespace std::chrono_literals;
using kind_t = gw_event::kind_t;
using epochs = std::vector<epoch>;

/// Notes each key that a write of the gateway says is retired.
struct watched : keyed_harness {
  explicit watched(harness_options options = {}) : keyed_harness(options) {
    on_gw_output = [this](const gw_output& out) {
      const auto* p = std::get_if<gw_persist>(&out);
      if (p == nullptr || !p->retired) return;
      retired.push_back(p->retired->which);
      EXPECT_TRUE(gw_disk.own() != nullptr && p->retired->eukey == gw_disk.own()->eukey);
      EXPECT_EQ(p->record->find(p->retired->which), nullptr) << "its EUKey is erased as ever";
    };
  }
  void renew() {
    gw->handle_update_request(now);
    run(5s);
  }
  epochs retired;
};

bool is_kcnf(const bytes& m) {
  const auto decoded = decode_radio(m);
  return decoded && std::holds_alternative<key_confirmation>(*decoded);
}

TEST(retired, is_the_key_that_the_pne_proved_before_it_confirmed_the_next_one) {
  watched w;
  for (int i = 0; i < 3; ++i) w.renew();
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 3}));
  EXPECT_EQ(w.retired, (epochs{{1, 0}, {1, 1}, {1, 2}}));
}

TEST(retired, is_so_as_well_when_the_confirmation_was_lost) {
  watched w;
  w.tap = [](side, bytes& m) { return !is_kcnf(m); };
  w.gw->handle_update_request(w.now);
  ASSERT_TRUE(w.run_until([&] { return w.count(kind_t::confirmation_lost) == 1; }, 1min));
  EXPECT_EQ(w.retired, (epochs{{1, 0}}));
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 1}));
}

TEST(retired, is_so_as_well_when_the_gateway_was_restarted_before_it_learned_of_that) {
  watched w;
  w.tap = [](side, bytes& m) { return !is_kcnf(m); };
  w.gw->handle_update_request(w.now);
  ASSERT_TRUE(w.run_until([&] { return w.pne_disk.pending.has_value(); }, 1min));
  w.crash(side::gw);
  w.power_on(side::gw);
  w.tap = nullptr;
  w.connect();
  ASSERT_TRUE(w.run_until([&] { return w.gw->own_epoch() >= epoch{1, 1}; }, 1min));
  EXPECT_EQ(w.retired, (epochs{{1, 0}}));
}

TEST(retired, is_not_a_key_that_the_pne_had_lost) {
  harness_options o;
  o.pne_forgets = true;
  watched w{o};
  w.crash(side::pne);
  w.power_on(side::pne);
  w.connect();
  w.run(10s);
  ASSERT_EQ(w.count(kind_t::amnesia), 1);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 1}));
  EXPECT_TRUE(w.retired.empty());
  w.renew();
  EXPECT_EQ(w.retired, (epochs{{1, 1}})) << "it goes on from the healing key";
}

TEST(retired, is_not_the_key_before_a_factory_reset) {
  watched w;
  w.pne->handle_factory_reset(w.now);
  w.connect();
  w.run(15s);
  ASSERT_EQ(w.gw->own_epoch()->generation(), 2U);
  EXPECT_TRUE(w.retired.empty());
}

TEST(retired, is_not_a_key_that_a_verified_reset_withdrew_although_somebody_proves_it) {
  watched w;
  const auto clone = w.pne_disk;
  w.tap = [](side, bytes& m) {
    const auto decoded = decode_radio(m);
    return !decoded || !std::holds_alternative<key_delivery>(*decoded);
  };
  w.factory_reset();
  w.connect();
  ASSERT_TRUE(w.run_until([&] { return w.gw_disk.own_is_withdrawn(); }, 30s));
  w.tap = nullptr;
  w.crash(side::pne);
  w.pne_disk = clone;
  w.power_on(side::pne);
  w.connect();
  ASSERT_TRUE(w.run_until([&] { return *w.gw->own_epoch() > clone.current->which; }, 2min));
  w.run(5s);
  EXPECT_TRUE(w.retired.empty());
}

TEST(retired, is_not_the_key_of_a_gateway_that_was_rolled_back) {
  watched w;
  const auto old = w.gw_disk;
  w.renew();
  ASSERT_EQ(w.retired.size(), 1U);
  w.crash(side::gw);
  w.gw_disk = old;
  w.power_on(side::gw);
  w.connect();
  ASSERT_TRUE(w.run_until([&] { return w.count(kind_t::gateway_rolled_back) == 1; }, 10s));
  EXPECT_EQ(w.retired.size(), 1U);
}

}  // namespace
}  // namespace cpns::test
