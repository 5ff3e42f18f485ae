// Connections that share a credit.
#include "tests/unit/server/link_harness.hpp"

namespace cpns::server_tests {
namespace {

template <class Condition>
bool soon(Condition met) {
  const auto until = std::chrono::steady_clock::now() + seconds{10};
  while (!met() && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  return met();
}

/// A session holds a large frame, which counts three times, so that another gateway has room for a part of its own alone.
struct two_over_the_credit {
  static link_limits with_credit(milliseconds frame_timeout) {
    link_limits limits;
    limits.credit = std::make_shared<server::frame_credit>(200'000);
    limits.frame_timeout = frame_timeout;
    return limits;
  }
  link_limits limits;
  link_harness p;
  std::unique_ptr<gateway_end> first, second;
  explicit two_over_the_credit(milliseconds frame_timeout)
      : limits(with_credit(frame_timeout)), p(limits, true), first(p.connect()) {
    const bytes big(60'000, 1);
    EXPECT_TRUE(first->send_frame(big));
    EXPECT_TRUE(p.session()->wait_received(1));
    second = p.connect();
    EXPECT_TRUE(second->send_frame(big));  // the sockets take it
    EXPECT_TRUE(soon([this] { return limits.credit->pauses() > 0; }));
    EXPECT_EQ(p.session(1)->received(), 0u);
  }
  bool given_back() const {
    return soon([this] { return limits.credit->used() == 0; });
  }
};

TEST(link, connections_share_a_credit_and_one_over_it_is_not_read_until_another_is_answered) {
  two_over_the_credit t{seconds{60}};
  t.p.session(0)->release();
  EXPECT_TRUE(t.first->read_frame().has_value());
  EXPECT_TRUE(t.p.session(1)->wait_received(1));
  t.p.session(1)->release();
  EXPECT_TRUE(t.second->read_frame().has_value());
  EXPECT_TRUE(t.given_back());
}

TEST(link, a_part_of_a_frame_does_not_hold_credit_for_ever) {
  two_over_the_credit t{milliseconds{300}};
  EXPECT_TRUE(t.second->wait_closed());
  EXPECT_TRUE(t.p.log.says("no room for the rest of a frame"));
  t.p.session(0)->release();
  EXPECT_TRUE(t.first->read_frame().has_value());
  EXPECT_TRUE(t.given_back());
}

}  // namespace
}  // namespace cpns::server_tests
