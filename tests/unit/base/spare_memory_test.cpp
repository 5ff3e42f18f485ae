#include "base/spare_memory.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace cpns {
namespace {

constexpr std::size_t mib = std::size_t{1} << 20;
constexpr time_point begin{seconds{1000}};

TEST(spare_memory, is_given_back_when_the_process_has_grown_and_is_idle) {
  spare_memory m;
  EXPECT_FALSE(m.due(begin, milliseconds{100}, 30 * mib));
  EXPECT_FALSE(m.due(begin + seconds{5}, milliseconds{4100}, 300 * mib)) << "busy";
  EXPECT_FALSE(m.due(begin + seconds{6}, milliseconds{4100}, 300 * mib)) << "too soon";
  EXPECT_TRUE(m.due(begin + seconds{10}, milliseconds{4200}, 300 * mib));
}

TEST(spare_memory, is_left_alone_when_there_was_nothing_to_give_back) {
  spare_memory m;
  EXPECT_FALSE(m.due(begin, {}, 30 * mib));
  EXPECT_FALSE(m.due(begin + seconds{5}, {}, 37 * mib));
  EXPECT_TRUE(m.due(begin + seconds{10}, {}, 100 * mib));
  EXPECT_FALSE(m.due(begin + seconds{15}, {}, 100 * mib)) << "all of it is in use";
  EXPECT_FALSE(m.due(begin + seconds{20}, {}, 60 * mib));
  EXPECT_TRUE(m.due(begin + seconds{25}, {}, 68 * mib)) << "it grew again";
}

// glibc gives back by itself what lies at the end of an arena; the blocks that stay are spread over all of it.
TEST(spare_memory, is_given_back_from_between_blocks_that_stay) {
  constexpr std::size_t block = 4000, blocks = 64 * mib / block, stays_each = 64;
  using memory = std::unique_ptr<std::vector<char>>;
  std::vector<memory> all(blocks);
  for (auto& one : all) one = std::make_unique<std::vector<char>>(block, 'x');
  for (std::size_t i = 0; i < blocks; ++i)
    if (i % stays_each != 0) all[i].reset();
  const auto before = spare_memory::resident();
  ASSERT_GT(before, 32 * mib) << "the blocks were given back by free()";
  spare_memory::give_back();
  EXPECT_LT(spare_memory::resident() + 32 * mib, before);
}

}  // namespace
}  // namespace cpns
