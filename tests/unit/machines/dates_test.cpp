// Stepping dates and expired sets: timers do not depend on the date, `not_after` does.
#include <algorithm>

#include <gtest/gtest.h>

#include "tests/unit/machines/keyed_harness.hpp"

namespace cpns::test {
namespace {

using namespace protocol;
using namespace std::chrono_literals;
using kind_t = gw_event::kind_t;

constexpr std::chrono::hours year_and_day{24 * 366};  // a set of the honest server lasts for a year

std::int64_t date_ms(time_point t) { return unix_milliseconds(t); }

TEST(dates, an_expired_set_is_not_delivered_when_it_arrives) {
  harness w;
  w.gw->note_dates(w.now, {w.now + year_and_day});
  w.connect();
  w.run(5min);
  EXPECT_GT(w.server.asked, 0);
  EXPECT_TRUE(w.deliveries.empty());
  EXPECT_FALSE(w.keyed());
  const auto reported = std::any_of(w.gw_events.begin(), w.gw_events.end(), [](const gw_event& e) {
    return e.why.find("expired") != std::string::npos && e.why.find("check the clocks") != std::string::npos;
  });
  EXPECT_TRUE(reported);
  w.gw->note_dates(w.now, {w.now});
  EXPECT_TRUE(w.run_until([&] { return w.keyed(); }, 6min)) << "it comes back when the clock is right";
}

TEST(dates, a_key_is_not_sent_again_after_its_set_expired) {
  harness w;
  int sent = 0;
  w.tap = [&](side to, bytes& m) {
    const bool kdel = to == side::pne && std::holds_alternative<key_delivery>(*decode_radio(m));
    sent += kdel ? 1 : 0;
    return !kdel;
  };
  w.connect();
  ASSERT_TRUE(w.run_until([&] { return sent == 1; }, 10s));
  w.gw->note_dates(w.now, {w.now + year_and_day});
  w.run(5min);
  EXPECT_EQ(sent, 1);
}

TEST(dates, an_expired_set_stays_expired_when_the_clock_is_in_the_past) {
  keyed_harness w;
  const auto newest = w.now + year_and_day;  // another device was keyed long after this set expired
  w.crash(side::gw);
  w.power_on(side::gw);
  w.gw->note_dates(w.now, {time_zero, newest});
  const auto before = w.deliveries.size();
  w.connect();
  w.run(10min);
  EXPECT_EQ(w.deliveries.size(), before);
  EXPECT_GT(w.server.asked, 1) << "the server may have a newer set";
  w.gw->note_dates(w.now, {time_zero, w.now});
  EXPECT_TRUE(w.run_until([&] { return w.deliveries.size() > before; }, 10min))
      << "a set that has not expired is delivered, also with a wrong clock";
}

TEST(dates, an_update_keeps_its_time_when_the_wall_clock_steps) {
  for (const auto step : {std::chrono::hours{240}, std::chrono::hours{-240}}) {
    keyed_harness w;
    w.gw->note_dates(w.now, {w.now + step});
    w.run(50min);
    EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 0})) << step.count();
    w.run(11min);
    EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 1})) << step.count();
    EXPECT_NEAR(static_cast<double>(w.gw_disk.keyed_since), static_cast<double>(date_ms(w.now + step)),
                11 * 60e3)
        << "the record has the date";
  }
}

TEST(dates, a_confirmation_from_the_future_does_not_delay_the_next_update) {
  keyed_harness w;
  w.crash(side::gw);
  w.gw_disk.keyed_since = date_ms(w.now + std::chrono::hours{24 * 60});
  w.power_on(side::gw);
  w.tap = [](side, bytes&) { return false; };  // the update of the wake-up is lost
  w.connect();
  w.run(30s);
  w.tap = nullptr;
  EXPECT_TRUE(w.run_until(
      [&] {
        return *w.gw->own_epoch() > epoch{1, 0};
      },
      70min))
      << "it does not wait for sixty days";
}

}  // namespace
}  // namespace cpns::test
