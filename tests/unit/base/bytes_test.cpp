#include "base/bytes.hpp"

#include <gtest/gtest.h>

namespace cpns {
namespace {

TEST(hex, reads_both_cases_and_writes_lower_case) {
  EXPECT_EQ(to_hex(bytes{0x00, 0x7f, 0xff}), "007fff");
  EXPECT_EQ(from_hex("00fFAb").value(), (bytes{0x00, 0xff, 0xab}));
  EXPECT_TRUE(from_hex("").value().empty());
}

TEST(hex, refuses_anything_else) {
  for (const auto* bad : {"0", "0g", "0x00", " 00", "00 ", "0\n"}) EXPECT_FALSE(from_hex(bad)) << bad;
}

// RFC 4648 section 10.
TEST(base64, agrees_with_the_published_examples) {
  const std::pair<const char*, const char*> cases[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : cases) {
    EXPECT_EQ(to_base64(as_bytes(plain)), encoded);
    EXPECT_EQ(from_base64(encoded).value(), to_bytes(as_bytes(plain)));
  }
}

TEST(base64, every_byte_survives) {
  bytes all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<std::uint8_t>(i));
  for (std::size_t n = 0; n <= all.size(); ++n) {
    const auto part = byte_view{all}.last(n);
    EXPECT_EQ(from_base64(to_base64(part)).value(), to_bytes(part));
  }
}

TEST(base64, refuses_anything_else) {
  for (const auto* bad : {"Z", "Zg", "Zg=", "Zg===", "====", "Z===", "Zg==Zg==", "Zm9-", "Zm 9", "=Zm9",
                          "Zm=v", "Zh==", "Zm9="})
    EXPECT_FALSE(from_base64(bad)) << bad;
}

TEST(bytes, equal_compares_size_and_content) {
  EXPECT_TRUE(equal({}, {}));
  EXPECT_TRUE(equal(as_bytes("ab"), as_bytes("ab")));
  EXPECT_FALSE(equal(as_bytes("ab"), as_bytes("ac")));
  EXPECT_FALSE(equal(as_bytes("ab"), as_bytes("abc")));
}

}  // namespace
}  // namespace cpns
