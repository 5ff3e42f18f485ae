// Frames over GATT: sent frames arrive, and no other bytes become a frame.

#include "transports/ble/chunks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace cpns::ble {
namespace {

using data = std::vector<std::uint8_t>;
using testing::ElementsAre;

constexpr greeting hello{
    .welcome = false, .session = 7, .window = 16, .chunk = 244, .mtu = 1026, .nonce = 0x01020304};

data numbered(std::size_t size, std::uint8_t first = 0) {
  data out(size);
  for (auto& byte : out) byte = first++;
  return out;
}

struct side : chunks {
  explicit side(std::size_t chunk = chunk_min, std::uint8_t window = 4, std::size_t mtu = 1026)
      : chunks({.session = 7, .chunk = chunk, .send_window = window, .receive_window = window, .mtu = mtu}) {}
  /// The chunks that it sends now.
  std::vector<data> send() {
    std::vector<data> out;
    while (const auto c = next()) {
      out.emplace_back(c->begin(), c->end());
      sent();
    }
    return out;
  }
  std::vector<data> frames() {
    std::vector<data> out;
    while (const auto f = pull()) out.emplace_back(f->begin(), f->end());
    return out;
  }
};

/// Delivers chunks in both directions until none is left. Returns the frames that arrived at `to`.
std::vector<data> carry(side& from, side& to) {
  std::vector<data> out;
  for (bool moved = true; moved;) {
    moved = false;
    for (const auto& c : from.send()) {
      moved = true;
      EXPECT_EQ(to.take(c), chunks::taken::well);
      for (auto& f : to.frames()) out.push_back(std::move(f));
    }
    for (const auto& c : to.send()) {
      moved = true;
      EXPECT_EQ(from.take(c), chunks::taken::well);
    }
  }
  return out;
}

TEST(ble_greeting, is_encoded_as_in_the_protocol_page) {
  EXPECT_EQ(encode(hello), (data{1, 7, 'C', 'P', 1, 16, 0, 244, 4, 2, 1, 2, 3, 4}));
  auto welcome = hello;
  welcome.welcome = true;
  EXPECT_EQ(encode(welcome).front(), 2);
  EXPECT_EQ(decode_greeting(encode(hello)), hello);
  EXPECT_EQ(decode_greeting(encode(welcome)), welcome);
}

TEST(ble_greeting, is_refused_when_it_is_malformed_or_unusable) {
  const auto good = encode(hello);
  EXPECT_FALSE(decode_greeting({}));
  EXPECT_FALSE(decode_greeting(chunk_view{good}.first(13)));
  const auto with = [&](std::size_t at, std::uint8_t value) {
    auto other = good;
    other[at] = value;
    return decode_greeting(other);
  };
  EXPECT_FALSE(with(0, 3)) << "kind";
  EXPECT_FALSE(with(1, 0)) << "session";
  EXPECT_FALSE(with(2, 'X'));
  EXPECT_FALSE(with(4, 2)) << "version";
  EXPECT_FALSE(with(5, 0)) << "window";
  EXPECT_FALSE(with(7, 19)) << "chunk";
  auto longer = good;
  longer.push_back(9);
  EXPECT_EQ(decode_greeting(longer), hello) << "additions of a later version are ignored";
  EXPECT_EQ(with(5, 255)->window, window_max);
  EXPECT_EQ(with(6, 255)->chunk, chunk_max);
}

TEST(ble_chunks, are_encoded_as_in_the_protocol_page) {
  side a;
  a.put(numbered(20));
  EXPECT_THAT(a.send(), ElementsAre(data{0x10, 7, 0, 0, 0, 20, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13},
                                    data{0x11, 7, 1, 0, 14, 15, 16, 17, 18, 19}));
  EXPECT_EQ(a.bye(), (data{3, 7, 0, 0}));
}

TEST(ble_chunks, carry_frames_of_every_size) {
  for (const std::size_t chunk : {chunk_min, std::size_t{23}, std::size_t{100}, chunk_max})
    for (const std::uint8_t window : {1, 2, 3, 16, 64}) {
      side a{chunk, window}, b{chunk, window};
      for (const std::size_t size : {1u, 13u, 14u, 15u, 30u, 506u, 507u, 1025u, 1026u}) {
        ASSERT_TRUE(a.idle());
        a.put(numbered(size, 3));
        EXPECT_THAT(carry(a, b), ElementsAre(numbered(size, 3))) << chunk << " " << int{window};
        b.put(numbered(size, 5));
        EXPECT_THAT(carry(b, a), ElementsAre(numbered(size, 5)));
      }
    }
}

TEST(ble_chunks, keep_to_the_window) {
  side a{chunk_min, 4}, b{chunk_min, 4};
  a.put(numbered(200));
  const auto first = a.send();
  EXPECT_EQ(first.size(), 4u);
  EXPECT_FALSE(a.idle());
  for (int i = 0; i < 2; ++i) EXPECT_EQ(b.take(first[static_cast<std::size_t>(i)]), chunks::taken::well);
  EXPECT_TRUE(b.frames().empty());
  const auto acknowledgement = b.send();
  EXPECT_THAT(acknowledgement, ElementsAre(data{4, 7, 0, 2}));
  a.take(acknowledgement.front());
  EXPECT_EQ(a.send().size(), 2u);
}

TEST(ble_chunks, are_put_in_order_when_they_overtake_each_other) {
  std::mt19937 dice{4711};
  side a{chunk_min, 16}, b{chunk_min, 16};
  for (std::uint8_t round = 0; round < 100; ++round) {
    a.put(numbered(150, round));
    auto sent = a.send();
    std::shuffle(sent.begin(), sent.end(), dice);
    for (const auto& c : sent) EXPECT_EQ(b.take(c), chunks::taken::well);
    EXPECT_THAT(b.frames(), ElementsAre(numbered(150, round)));
    EXPECT_EQ(b.gap(), 0u);
    for (const auto& c : b.send()) a.take(c);
  }
}

TEST(ble_chunks, leave_a_gap_and_no_frame_when_one_is_lost) {
  for (std::size_t lost = 0; lost < 3; ++lost) {
    side a, b;
    a.put(numbered(40));
    const auto sent = a.send();
    ASSERT_EQ(sent.size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) {
      if (i != lost) {
        EXPECT_EQ(b.take(sent[i]), chunks::taken::well);
      }
    }
    EXPECT_TRUE(b.frames().empty());
    EXPECT_EQ(b.gap(), lost == 2 ? 0u : lost + 1);
  }
}

TEST(ble_chunks, break_the_session_when_one_arrives_twice) {
  side a, b;
  a.put(numbered(40));
  const auto sent = a.send();
  b.take(sent[1]);
  EXPECT_EQ(b.take(sent[1]), chunks::taken::broken) << "one that waits for its turn";
  EXPECT_EQ(b.take(sent[0]), chunks::taken::broken) << "the session stays broken";
  EXPECT_TRUE(b.frames().empty());
  side c;
  c.take(sent[0]);
  c.pull();
  EXPECT_EQ(c.take(sent[0]), chunks::taken::broken) << "one that was used";
  EXPECT_EQ(c.wrong(), "a chunk arrived twice, or outside of the window");
}

TEST(ble_chunks, break_the_session_when_they_do_not_form_a_frame) {
  const auto broken = [](std::vector<data> all) {
    side b;
    for (std::size_t i = 0; i < all.size(); ++i) {
      all[i].insert(all[i].begin() + 1, {7, static_cast<std::uint8_t>(i), 0});
      b.take(all[i]);
    }
    const bool none = b.frames().empty();
    return none && !b.wrong().empty();
  };
  EXPECT_TRUE(broken({{0x11, 1, 2}})) << "no first chunk";
  EXPECT_TRUE(broken({{0x10}})) << "no length";
  EXPECT_TRUE(broken({{0x10, 0}})) << "half a length";
  EXPECT_TRUE(broken({{0x10, 0, 0}})) << "length 0";
  EXPECT_TRUE(broken({{0x10, 4, 3, 1}})) << "length above the MTU";
  EXPECT_TRUE(broken({{0x10, 0, 1}})) << "an empty chunk";
  EXPECT_TRUE(broken({{0x10, 0, 1, 1, 2}})) << "more than its length";
  EXPECT_TRUE(broken({{0x10, 0, 3, 1}, {0x10, 0, 3, 1}})) << "a first chunk within a frame";
  EXPECT_TRUE(broken({{0x10, 0, 3, 1}, {0x11, 2, 3, 4}})) << "two chunks with more than the length";
  EXPECT_FALSE(broken({{0x10, 0, 3, 1}, {0x11, 2, 3}}));
}

TEST(ble_chunks, are_ignored_when_they_belong_to_another_session_or_kind) {
  side b;
  EXPECT_EQ(b.take({}), chunks::taken::ignored);
  EXPECT_EQ(b.take(data{0x10, 7, 0}), chunks::taken::ignored) << "short";
  EXPECT_EQ(b.take(data{0x10, 8, 0, 0, 0, 1, 1}), chunks::taken::ignored) << "another session";
  EXPECT_EQ(b.take(data{0x77, 7, 0, 0, 0, 1, 1}), chunks::taken::ignored) << "a later kind";
  EXPECT_EQ(b.take(data{3, 7, 0, 0}), chunks::taken::bye);
}

TEST(ble_chunks, false_acknowledgements_open_no_window) {
  side a{chunk_min, 2};
  a.put(numbered(200));
  EXPECT_EQ(a.send().size(), 2u);
  for (const std::uint8_t number : {3, 100, 255}) a.take(data{4, 7, 0, number});
  EXPECT_TRUE(a.send().empty());
  a.take(data{4, 7, 0, 2});
  EXPECT_EQ(a.send().size(), 2u);
  a.take(data{4, 7, 0, 1});  // an older one that was overtaken
  EXPECT_TRUE(a.send().empty());
}

TEST(ble_chunks, survive_random_bytes) {
  std::mt19937 dice{1};
  for (int life = 0; life < 2000; ++life) {
    side b{chunk_min, 16, 100};
    std::size_t got = 0;
    for (int i = 0; i < 60 && b.wrong().empty(); ++i) {
      data c(dice() % 24);
      for (auto& byte : c) byte = static_cast<std::uint8_t>(dice());
      if (c.size() > 2 && dice() % 8 != 0) {
        c[0] = static_cast<std::uint8_t>(0x10 + dice() % 2);
        c[1] = 7;
        c[2] = static_cast<std::uint8_t>(dice() % 20);
      }
      if (c.size() > 4) c[4] = 0;
      b.take(c);
      for (const auto& f : b.frames()) {
        ++got;
        ASSERT_GE(f.size(), 1u);
        ASSERT_LE(f.size(), 100u);
      }
      ASSERT_LE(b.send().size(), 2u);
    }
    ASSERT_LE(got, 60u);
  }
}

}  // namespace
}  // namespace cpns::ble
