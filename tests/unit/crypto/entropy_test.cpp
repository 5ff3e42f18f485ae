#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <thread>

#include "crypto_test.hpp"

namespace cpns::crypto {
namespace {

TEST(system_entropy, fills_every_size) {
  for (std::size_t n : {1u, 31u, 32u, 1024u, 1025u, 4096u, 10'000u}) {
    // A byte that stays zero in eight rounds was not written.
    bytes seen(n, 0);
    for (int round = 0; round < 8; ++round) {
      bytes out(n, 0);
      system_entropy().fill(out);
      for (std::size_t i = 0; i < n; ++i) seen[i] |= out[i];
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), 0), 0) << n;
  }
  system_entropy().fill({});
}

TEST(system_entropy, does_not_repeat_within_or_across_threads) {
  std::array<std::vector<byte_array<16>>, 4> drawn;
  std::vector<std::thread> threads;
  for (auto& mine : drawn)
    threads.emplace_back([&mine] {
      for (int i = 0; i < 2000; ++i) mine.push_back(system_entropy().draw<16>());
    });
  for (auto& t : threads) t.join();
  std::set<byte_array<16>> all;
  for (const auto& mine : drawn) all.insert(mine.begin(), mine.end());
  EXPECT_EQ(all.size(), 4u * 2000u);
}

TEST(system_entropy, differs_in_a_forked_child) {
  (void)system_entropy().draw<16>();  // leaves a block with bytes drawn in advance
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto drawn = system_entropy().draw<16>();
    const bool written = ::write(ends[1], drawn.data(), drawn.size()) == static_cast<ssize_t>(drawn.size());
    ::_exit(written ? 0 : 1);
  }
  const auto of_parent = system_entropy().draw<16>();
  byte_array<16> of_child{};
  EXPECT_EQ(::read(ends[0], of_child.data(), of_child.size()), static_cast<ssize_t>(of_child.size()));
  int state = 0;
  EXPECT_EQ(::waitpid(child, &state, 0), child);
  EXPECT_EQ(state, 0);
  ::close(ends[0]);
  ::close(ends[1]);
  EXPECT_NE(of_parent, of_child);
}

TEST(secrets, are_wiped_after_a_move) {
  auto a = filled(7);
  const secret32 b = std::move(a);
  EXPECT_EQ(a, secret32{});  // NOLINT: the state after a move is the point
  EXPECT_EQ(b, filled(7));
}

}  // namespace
}  // namespace cpns::crypto
