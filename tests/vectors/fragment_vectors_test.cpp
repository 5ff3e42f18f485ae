// Fragmentation against fragments.json.

#include <gtest/gtest.h>

#include "plugins/host/fragment.hpp"
#include "tests/vectors/vector_file.hpp"

namespace cpns::vectors {
namespace {

std::vector<bytes> frames_of(const test_case& t) {
  std::vector<bytes> out;
  for (const auto& f : t.json().at("frames").as_array())
    out.push_back(*from_hex(std::string_view{f.as_string()}));
  return out;
}

TEST(fragment_vectors, agree_with_the_fragmenter) {
  EXPECT_EQ(for_each_case("fragments.json", "Split",
                          [](const test_case& t) {
                            plugins::fragmenter splitter{static_cast<std::uint32_t>(t.number("mtu"))};
                            for (std::uint64_t n = 0; n < t.number("number"); ++n)
                              ASSERT_TRUE(splitter.split(bytes{0}).has_value());
                            const auto got = splitter.split(t.hex("message"));
                            ASSERT_TRUE(got.has_value()) << got.error().message();
                            EXPECT_EQ(*got, frames_of(t));
                          }),
            9u);
}

TEST(fragment_vectors, agree_with_the_reassembler) {
  EXPECT_GT(for_each_case("fragments.json", "Assemble",
                          [](const test_case& t) {
                            plugins::reassembler all;
                            const auto frames = frames_of(t);
                            const auto& gives = t.json().at("gives").as_array();
                            for (std::size_t i = 0; i < frames.size(); ++i) {
                              const auto got = all.take(frames[i]);
                              if (i == gives.size()) {
                                EXPECT_FALSE(t.valid());
                                ASSERT_FALSE(got.has_value());
                                EXPECT_EQ(fault_of(got.error().code), fault::wire);
                                return;
                              }
                              ASSERT_TRUE(got.has_value()) << got.error().message();
                              ASSERT_EQ(got->has_value(), !gives[i].is_null()) << "frame " << i;
                              if (*got) {
                                EXPECT_EQ(to_hex(**got), std::string_view{gives[i].as_string()});
                              }
                            }
                            EXPECT_TRUE(t.valid());
                          }),
            15u);
}

}  // namespace
}  // namespace cpns::vectors
