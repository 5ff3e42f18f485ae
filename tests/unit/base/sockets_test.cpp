// The keepalive options of a quiet connection, read back from a socket.
#include "base/sockets.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support/probing.hpp"

namespace cpns {
namespace {

std::map<std::string, int> probing_after(milliseconds quiet) {
  const int s = ::socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(probing_of(s).at("on"), 0);
  probe_when_quiet(s, quiet);
  const auto out = probing_of(s);
  ::close(s);
  return out;
}

std::map<std::string, int> expected(int idle, int interval, int unacknowledged) {
  return {
      {"on", 1}, {"idle", idle}, {"interval", interval}, {"count", 2}, {"unacknowledged", unacknowledged}};
}

TEST(probe_when_quiet, probes_after_half_of_the_time_and_ends_with_it) {
  EXPECT_EQ(probing_after(seconds{4}), expected(2, 1, 4000));
  EXPECT_EQ(probing_after(seconds{30}), expected(16, 7, 30'000));
  EXPECT_EQ(probing_after(std::chrono::hours{1}), expected(1800, 900, 3'600'000));
}

TEST(probe_when_quiet, rounds_times_up_to_at_least_one_second) {
  EXPECT_EQ(probing_after(milliseconds{1500}), expected(1, 1, 1500));
  EXPECT_EQ(probing_after(milliseconds{1}), expected(1, 1, 1));
  EXPECT_EQ(probing_after(milliseconds{0}), expected(1, 1, 1));
}

TEST(probe_when_quiet, limits_times_to_the_maximum_of_the_kernel) {
  EXPECT_EQ(probing_after(std::chrono::hours{1000}), expected(16'385, 8191, 1'000'000'000));
}

TEST(probe_when_quiet, ignores_a_descriptor_that_is_not_a_socket) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  probe_when_quiet(ends[0], seconds{1});
  probe_when_quiet(-1, seconds{1});
  for (const int end : ends) EXPECT_EQ(::close(end), 0);
}

}  // namespace
}  // namespace cpns
