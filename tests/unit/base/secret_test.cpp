#include "base/secret.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <new>
#include <sstream>
#include <type_traits>

namespace cpns {
namespace {

template <class T, class = void>
struct prints : std::false_type {};
template <class T>
struct prints<T, std::void_t<decltype(std::declval<std::ostream&>() << std::declval<const T&>())>>
    : std::true_type {};

static_assert(!prints<secret32>::value && !prints<secret_bytes>::value, "a secret has no printer");
static_assert(!std::is_convertible_v<secret32, byte_view> && !std::is_convertible_v<secret_bytes, byte_view>);
static_assert(!std::is_convertible_v<bytes, secret_bytes>, "a secret is made explicitly");
static_assert(std::is_nothrow_move_constructible_v<secret32> &&
              std::is_nothrow_move_constructible_v<secret_bytes>);

secret16 filled(std::uint8_t v) {
  secret16 s;
  for (auto& b : s.expose_mutable()) b = v;
  return s;
}

bool all_zero(byte_view b) {
  return std::all_of(b.begin(), b.end(), [](std::uint8_t v) { return v == 0; });
}

TEST(secret, starts_as_zero) { EXPECT_TRUE(all_zero(secret32{}.expose())); }

TEST(secret, is_wiped_by_its_destructor) {
  alignas(secret16) std::array<std::uint8_t, sizeof(secret16)> memory;
  auto* s = new (memory.data()) secret16{filled(0xa5)};
  EXPECT_FALSE(all_zero(memory));
  s->~secret16();
  EXPECT_TRUE(all_zero(memory));
}

TEST(secret, is_wiped_after_a_move) {
  auto a = filled(7);
  const auto b = std::move(a);
  EXPECT_TRUE(all_zero(a.expose()));  // NOLINT: the state after a move is the point
  EXPECT_EQ(b, filled(7));
  auto c = filled(8);
  auto d = filled(9);
  d = std::move(c);
  EXPECT_TRUE(all_zero(c.expose()));  // NOLINT
  EXPECT_EQ(d, filled(8));
}

TEST(secret, survives_an_assignment_to_itself) {
  auto a = filled(7);
  auto& same = a;
  a = std::move(same);
  EXPECT_EQ(a, filled(7));
  secret_bytes b = secret_bytes::from_text("text");
  auto& same_bytes = b;
  b = same_bytes;
  b = std::move(same_bytes);
  EXPECT_EQ(b, secret_bytes::from_text("text"));
}

TEST(secret_bytes, are_overwritten_by_clear) {
  auto s = secret_bytes::from_text("a password");
  const auto* data = s.expose().data();
  const auto size = s.size();
  s.clear();
  EXPECT_TRUE(s.empty());
  // A cleared vector keeps its memory, so the former content can be checked.
  EXPECT_TRUE(all_zero({data, size}));
}

TEST(secret_bytes, are_moved_without_a_copy) {
  auto a = secret_bytes::from_text("a password");
  const auto* data = a.expose().data();
  const secret_bytes b = std::move(a);
  EXPECT_TRUE(a.empty());  // NOLINT: the state after a move is the point
  EXPECT_EQ(b.expose().data(), data) << "no copy may stay behind";
}

TEST(secret_bytes, are_compared_by_size_and_content) {
  EXPECT_EQ(secret_bytes::from_text("abc"), secret_bytes::from_text("abc"));
  EXPECT_NE(secret_bytes::from_text("abc"), secret_bytes::from_text("abd"));
  EXPECT_NE(secret_bytes::from_text("abc"), secret_bytes::from_text("abcd"));
  EXPECT_EQ(secret_bytes{}, secret_bytes::from_text(""));
}

TEST(wipe, overwrites_all_and_accepts_an_empty_range) {
  bytes b(300, 0xff);
  wipe(b.data(), b.size());
  EXPECT_TRUE(all_zero(b));
  wipe(nullptr, 0);
  std::string text = "secret";
  wipe(text);
  EXPECT_TRUE(text.empty());
}

TEST(equal_constant_time, detects_each_changed_bit) {
  const bytes a(40, 0x55);
  EXPECT_TRUE(equal_constant_time(a, a));
  for (std::size_t i = 0; i < a.size() * 8; ++i) {
    auto b = a;
    b[i / 8] = static_cast<std::uint8_t>(b[i / 8] ^ (1 << (i % 8)));
    EXPECT_FALSE(equal_constant_time(a, b)) << i;
  }
}

}  // namespace
}  // namespace cpns
