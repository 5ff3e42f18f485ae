// The programs of the gateway learn the next key before the PNE gets it, and none of them can stop that.
#include <gtest/gtest.h>

#include "tests/unit/machines/keyed_harness.hpp"

namespace cpns::test {
namespace {

using namespace protocol;
using namespace std::chrono_literals;
using kind_t = gw_event::kind_t;

harness_options with_consumers(unsigned late = 0) {
  harness_options o;
  o.consumer_wait = 2s;
  o.late_consumers = late;
  return o;
}

/// Leads a keyed device into `publishing`; no program acknowledges the key.
void publish_next(harness& w) {
  w.o.late_consumers = 100;
  w.gw->handle_update_request(w.now);
  ASSERT_TRUE(w.run_until([&w] { return w.gw->state() == pn_gw_state::publishing; }, 5s));
}

TEST(publishing, a_delivery_waits_for_the_programs) {
  keyed_harness w{with_consumers()};
  const auto before = w.deliveries.size();
  ASSERT_NO_FATAL_FAILURE(publish_next(w));
  w.run(500ms);
  EXPECT_EQ(w.deliveries.size(), before);
  w.gw->handle_consumers_ready(w.now, epoch{1, 1});
  EXPECT_EQ(w.gw->state(), pn_gw_state::delivering);
  w.run(1s);
  EXPECT_TRUE(w.keyed());
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 1}));
  EXPECT_EQ(w.count(kind_t::consumer_late), 0);
  EXPECT_EQ(w.faults, std::vector<std::string>{});
}

TEST(publishing, a_program_that_never_answers_delays_a_delivery_by_the_wait_alone) {
  keyed_harness w{with_consumers()};
  ASSERT_NO_FATAL_FAILURE(publish_next(w));
  const auto begun = w.now;
  ASSERT_TRUE(w.run_until([&w] { return w.gw->own_epoch() == epoch{1, 1}; }, 10s));
  EXPECT_GE(w.now - begun, 1900ms);
  EXPECT_LE(w.now - begun, 3s);
  EXPECT_EQ(w.count(kind_t::consumer_late), 1);
}

TEST(publishing, a_slow_write_takes_nothing_from_the_wait) {
  keyed_harness w{with_consumers()};
  bool slow = false;
  w.on_gw_output = [&](const gw_output& out) {
    const auto* p = std::get_if<gw_persist>(&out);
    if (p == nullptr || slow || p->record->find(epoch{1, 1})->use != key_use::handed_out) return;
    slow = true;
    w.gw->handle_timeout(w.now + 3s);  // before the write is durable
  };
  ASSERT_NO_FATAL_FAILURE(publish_next(w));
  ASSERT_TRUE(slow);
  w.run(1s);
  EXPECT_EQ(w.gw->state(), pn_gw_state::publishing);
  EXPECT_EQ(w.count(kind_t::consumer_late), 0);
  w.gw->handle_consumers_ready(w.now, epoch{1, 1});
  w.run(1s);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 1}));
}

TEST(publishing, an_acknowledgement_of_another_key_sends_nothing) {
  keyed_harness w{with_consumers()};
  ASSERT_NO_FATAL_FAILURE(publish_next(w));
  w.gw->handle_consumers_ready(w.now, epoch{1, 0});
  EXPECT_EQ(w.gw->state(), pn_gw_state::publishing);
  w.disconnect();
  ASSERT_EQ(w.gw->state(), pn_gw_state::asleep);
  w.gw->handle_consumers_ready(w.now, epoch{1, 1});
  EXPECT_EQ(w.gw->state(), pn_gw_state::asleep);
}

TEST(publishing, a_delivery_that_waits_too_long_for_the_pne_is_not_sent) {
  keyed_harness w{with_consumers()};
  w.o.consumer_wait = context_lifetime + 10s;
  w.permit(0s);  // applies the settings
  const auto before = w.deliveries.size();
  ASSERT_NO_FATAL_FAILURE(publish_next(w));
  w.run(context_lifetime - 1s);
  EXPECT_EQ(w.gw->state(), pn_gw_state::publishing);
  EXPECT_EQ(w.deliveries.size(), before);
  ASSERT_TRUE(w.run_until([&w] { return w.gw->state() == pn_gw_state::backing_off; }, 3s));
  EXPECT_EQ(w.deliveries.size(), before);
}

TEST(publishing, a_key_that_was_published_and_not_sent_is_never_handed_out_again) {
  keyed_harness w{with_consumers()};
  ASSERT_NO_FATAL_FAILURE(publish_next(w));
  w.crash(side::gw);
  w.o.late_consumers = 0;
  w.settle();
  EXPECT_EQ(w.disagreement(), "");
  EXPECT_FALSE(w.deliveries.contains(epoch{1, 1}));
  EXPECT_GE(w.gw->own_epoch(), (epoch{1, 0}));
}

TEST(publishing, nothing_waits_without_programs) {
  keyed_harness w;
  w.gw->handle_update_request(w.now);
  w.run(2s);
  EXPECT_EQ(w.gw->own_epoch(), (epoch{1, 1}));
  EXPECT_TRUE(w.published.empty());
}

}  // namespace
}  // namespace cpns::test
