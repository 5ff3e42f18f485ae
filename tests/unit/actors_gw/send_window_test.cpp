#include "actors/pn_gw/send_window.hpp"

#include <gtest/gtest.h>

#include "base/clock.hpp"

namespace cpns::actors {
namespace {

using window = send_window<time_point>;
const time_point t0{seconds{100}};

TEST(send_window, is_full_until_the_server_refuses) {
  window w{128};
  for (int i = 0; i < 1000; ++i) w.answered();
  EXPECT_EQ(w.limit(), 128u);
  EXPECT_FALSE(w.reduced());
}

TEST(send_window, is_halved_once_for_all_requests_that_were_on_their_way) {
  window w{128};
  for (int i = 0; i < 128; ++i) w.refused(t0, t0 + seconds{1});
  EXPECT_EQ(w.limit(), 64u);
  w.refused(t0 + seconds{1}, t0 + seconds{2});
  EXPECT_EQ(w.limit(), 32u);
}

TEST(send_window, never_closes) {
  window w{128};
  for (int i = 0; i < 20; ++i) w.refused(t0 + seconds{i}, t0 + seconds{i});
  EXPECT_EQ(w.limit(), 1u);
}

TEST(send_window, grows_by_one_per_window_of_answers) {
  window w{8};
  w.refused(t0, t0);
  EXPECT_EQ(w.limit(), 4u);
  for (int i = 0; i < 3; ++i) w.answered();
  EXPECT_EQ(w.limit(), 4u);
  w.answered();
  EXPECT_EQ(w.limit(), 5u);
  for (int i = 0; i < 100; ++i) w.answered();
  EXPECT_EQ(w.limit(), 8u);
  EXPECT_FALSE(w.reduced());
}

}  // namespace
}  // namespace cpns::actors
