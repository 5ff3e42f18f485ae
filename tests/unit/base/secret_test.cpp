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
static_assert(!std::is_convertible_v<bytes, secret_bytes>, "making a secret is written out");
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

TEST(secret, is_wiped_where_it_was_moved_from) {
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

TEST(secret_bytes, clear_overwrites_before_it_forgets) {
  auto s = secret_bytes::from_text("a password");
  const auto* data = s.expose().data();
  const auto size = s.size();
  s.clear();
  EXPECT_TRUE(s.empty());
  // The vector keeps its memory when it is cleared, so what was there can be looked at.
  EXPECT_TRUE(all_zero({data, size}));
}

TEST(secret_bytes, moves_take_the_bytes_along) {
  auto a = secret_bytes::from_text("a password");
  const auto* data = a.expose().data();
  const secret_bytes b = std::move(a);
  EXPECT_TRUE(a.empty());  // NOLINT: the state after a move is the point
  EXPECT_EQ(b.expose().data(), data) << "no copy may stay behind";
}

TEST(secret_bytes, compares_size_and_content) {
  EXPECT_EQ(secret_bytes::from_text("abc"), secret_bytes::from_text("abc"));
  EXPECT_NE(secret_bytes::from_text("abc"), secret_bytes::from_text("abd"));
  EXPECT_NE(secret_bytes::from_text("abc"), secret_bytes::from_text("abcd"));
  EXPECT_EQ(secret_bytes{}, secret_bytes::from_text(""));
}

TEST(wipe, overwrites_all_and_takes_nothing) {
  bytes b(300, 0xff);
  wipe(b.data(), b.size());
  EXPECT_TRUE(all_zero(b));
  wipe(nullptr, 0);
  std::string text = "secret";
  wipe(text);
  EXPECT_TRUE(text.empty());
}

TEST(constant_time, finds_each_bit) {
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
