#include "plugins/host/fragment.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

namespace cpns::plugins {
namespace {

bytes message_of(std::size_t size, std::uint8_t first = 0) {
  bytes out(size);
  std::iota(out.begin(), out.end(), first);
  return out;
}

/// The messages that `in` completes from the frames, in order.
std::vector<bytes> taken(reassembler& in, const std::vector<bytes>& frames) {
  std::vector<bytes> out;
  for (const auto& f : frames) {
    auto got = in.take(f);
    EXPECT_TRUE(got) << got.error().message();
    if (got && *got) out.push_back(std::move(**got));
  }
  return out;
}

TEST(fragment, carries_every_size_at_every_kind_of_mtu) {
  for (const std::uint32_t mtu : {mtu_min, 24u, 64u, 247u, 512u, 1025u, 1026u, 1027u, mtu_max}) {
    fragmenter out{mtu};
    reassembler in;
    for (std::size_t size = 1; size <= message_max; ++size) {
      const auto message = message_of(size);
      const auto frames = out.split(message);
      ASSERT_TRUE(frames);
      for (const auto& f : *frames) ASSERT_LE(f.size(), mtu);
      ASSERT_EQ(taken(in, *frames), std::vector<bytes>{message}) << "mtu " << mtu << " size " << size;
    }
    EXPECT_EQ(in.given_up(), 0u);
  }
}

TEST(fragment, writes_the_bytes_of_the_format) {
  fragmenter out{23};
  ASSERT_TRUE(out.split(message_of(1)));
  const auto frames = out.split(message_of(22)).value();
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(to_hex(frames[0]), "0100000102030405060708090a0b0c0d0e0f1011121314");
  EXPECT_EQ(to_hex(frames[1]), "018115");
}

TEST(fragment, refuses_messages_that_are_empty_or_over_1024_bytes) {
  fragmenter out{512};
  EXPECT_EQ(out.split(bytes{}).error().code, errc::wire_oversized);
  EXPECT_EQ(out.split(message_of(message_max + 1)).error().code, errc::wire_oversized);
}

TEST(fragment, reassembles_fragments_in_any_order) {
  std::mt19937 dice{7};
  fragmenter out{64};
  reassembler in;
  for (int i = 0; i < 300; ++i) {
    const auto message = message_of(500 + dice() % 500, static_cast<std::uint8_t>(i));
    auto frames = out.split(message).value();
    std::shuffle(frames.begin(), frames.end(), dice);
    ASSERT_EQ(taken(in, frames), std::vector<bytes>{message}) << i;
  }
}

TEST(fragment, ignores_repeated_fragments) {
  fragmenter out{64};
  reassembler in;
  const auto message = message_of(150);
  const auto frames = out.split(message).value();
  std::vector<bytes> twice;
  for (std::size_t i = 0; i + 1 < frames.size(); ++i) twice.insert(twice.end(), 2, frames[i]);
  twice.push_back(frames.back());
  EXPECT_EQ(taken(in, twice), std::vector<bytes>{message});
}

TEST(fragment, loses_only_the_message_of_a_lost_fragment) {
  for (std::size_t lost = 0; lost < 3; ++lost) {
    fragmenter out{64};
    reassembler in;
    auto broken = out.split(message_of(180)).value();
    ASSERT_EQ(broken.size(), 3u);
    broken.erase(broken.begin() + static_cast<std::ptrdiff_t>(lost));
    EXPECT_TRUE(taken(in, broken).empty());
    const auto whole = message_of(180, 9);
    EXPECT_EQ(taken(in, out.split(whole).value()), std::vector<bytes>{whole});
  }
}

TEST(fragment, keeps_four_unfinished_messages_and_drops_the_oldest_for_a_fifth) {
  fragmenter out{64};
  reassembler in;
  std::vector<std::vector<bytes>> messages;
  for (std::uint8_t i = 0; i < 5; ++i) messages.push_back(out.split(message_of(100, i)).value());
  for (const auto& frames : messages) EXPECT_TRUE(taken(in, {frames[0]}).empty());
  EXPECT_EQ(in.given_up(), 1u);
  for (std::size_t i = 1; i < 5; ++i)
    EXPECT_EQ(taken(in, {messages[i][1]}), std::vector<bytes>{message_of(100, static_cast<std::uint8_t>(i))});
  EXPECT_TRUE(taken(in, {messages[0][1]}).empty());
}

TEST(fragment, starts_a_new_message_when_its_number_wraps_around) {
  fragmenter out{64};
  reassembler in;
  EXPECT_TRUE(taken(in, {out.split(message_of(100, 1)).value()[0]}).empty());
  for (int i = 0; i < 255; ++i) ASSERT_TRUE(out.split(message_of(1)));
  const auto message = message_of(100, 2);
  EXPECT_EQ(taken(in, out.split(message).value()), std::vector<bytes>{message});
  EXPECT_EQ(in.given_up(), 1u);
}

TEST(fragment, drops_the_one_that_began_first_after_others_ended_or_began_again) {
  const auto frames_of = [](std::uint8_t number, std::uint8_t first) {
    fragmenter out{64};
    for (int i = 0; i < number; ++i) EXPECT_TRUE(out.split(message_of(1)));
    return out.split(message_of(100, first)).value();
  };
  reassembler in;
  for (std::uint8_t n = 0; n < 4; ++n) EXPECT_TRUE(taken(in, {frames_of(n, n)[0]}).empty());
  // Message 0 begins again with the same number, and is the last one then; message 2 ends.
  EXPECT_TRUE(taken(in, {frames_of(0, 100)[0]}).empty());
  EXPECT_EQ(in.given_up(), 1u);
  EXPECT_EQ(taken(in, {frames_of(2, 2)[1]}), std::vector<bytes>{message_of(100, 2)});
  EXPECT_TRUE(taken(in, {frames_of(4, 4)[0]}).empty());
  EXPECT_EQ(in.given_up(), 1u) << "1, 3, 0 and 4 have a place";
  EXPECT_TRUE(taken(in, {frames_of(5, 5)[0]}).empty());
  EXPECT_EQ(in.given_up(), 2u) << "message 1 began first";
  for (const auto& [number, first] : {std::pair{3, 3}, {0, 100}, {4, 4}, {5, 5}}) {
    const auto f = static_cast<std::uint8_t>(first);
    EXPECT_EQ(taken(in, {frames_of(static_cast<std::uint8_t>(number), f)[1]}),
              std::vector<bytes>{message_of(100, f)});
  }
  EXPECT_TRUE(taken(in, {frames_of(1, 1)[1]}).empty());
}

struct bad_frames {
  const char* title;
  std::vector<const char*> frames;  ///< the last one is refused
  errc code;
};

TEST(fragment, refuses_invalid_frames) {
  const std::string over = "0002" + std::string(2 * (message_max - 1), '0');
  const bad_frames cases[] = {
      {"empty", {""}, errc::wire_truncated},
      {"half a header", {"00"}, errc::wire_truncated},
      {"a header alone", {"0080"}, errc::wire_truncated},
      {"bit 6", {"00c0aa"}, errc::wire_range},
      {"an index behind the last", {"0081aa", "0002bb"}, errc::wire_length},
      {"a last fragment before others", {"0003aa", "0081bb"}, errc::wire_length},
      {"two last fragments", {"0082aa", "0081bb"}, errc::wire_length},
      {"over 1024 bytes together", {"0000aaaa", over.c_str()}, errc::wire_length},
  };
  for (const auto& c : cases) {
    reassembler in;
    for (std::size_t i = 0; i < c.frames.size(); ++i) {
      const auto got = in.take(from_hex(c.frames[i]).value());
      if (i + 1 < c.frames.size()) {
        EXPECT_TRUE(got && !*got) << c.title;
      } else {
        ASSERT_FALSE(got) << c.title;
        EXPECT_EQ(got.error().code, c.code) << c.title;
      }
    }
    // A refused frame does no harm: the next message arrives.
    const auto message = message_of(100);
    EXPECT_EQ(taken(in, fragmenter{64}.split(message).value()), std::vector<bytes>{message}) << c.title;
  }
}

TEST(fragment, returns_only_valid_sizes_for_random_frames) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937 dice{seed};
    reassembler in;
    for (int i = 0; i < 5000; ++i) {
      bytes frame(dice() % 80);
      for (auto& b : frame) b = static_cast<std::uint8_t>(dice());
      if (frame.size() > 1) frame[0] &= 3, frame[1] &= 0x8f;
      const auto got = in.take(frame);
      if (got && *got) {
        ASSERT_GE((*got)->size(), 1u);
        ASSERT_LE((*got)->size(), message_max) << "seed " << seed;
      }
    }
  }
}

}  // namespace
}  // namespace cpns::plugins
