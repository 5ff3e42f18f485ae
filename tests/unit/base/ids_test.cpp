#include "base/ids.hpp"

#include <gmock/gmock.h>

#include <unordered_set>

namespace cpns {
namespace {

using testing::HasSubstr;

TEST(entity_id, accepts_every_known_scheme) {
  for (const auto* text :
       {"urn:dev:mac:0024befffe804ff1", "urn:dev:mac:acde48234567", "urn:gsma:imei:35209900-176148-1",
        "urn:gsma:imei:49015420-323751-8", "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "urn:dev:os:32473-123456", "urn:dev:os:32473-A-1_b.C"}) {
    const auto id = entity_id::parse(text);
    ASSERT_TRUE(id) << id.error().message();
    EXPECT_EQ(id->text(), text);
  }
}

struct bad_id {
  std::string text;
  const char* why;
};

TEST(entity_id, names_the_fault_in_the_error) {
  const bad_id cases[] = {
      {"", "must have 1 to 64 bytes, and has 0"},
      {"urn:dev:os:1-" + std::string(52, 'a'), "and has 65"},
      {"urn:unknown:1", "has no known scheme"},
      {"URN:DEV:MAC:acde48234567", "has no known scheme"},
      {"urn:dev:mac:", "12 (EUI-48) or 16 (EUI-64)"},
      {"urn:dev:mac:acde4823456", "12 (EUI-48) or 16 (EUI-64)"},
      {"urn:dev:mac:acde482345678901f", "12 (EUI-48) or 16 (EUI-64)"},
      {"urn:dev:mac:ACDE48234567", "other than lower-case hexadecimal digits"},
      {"urn:dev:mac:acde4823456g", "other than lower-case hexadecimal digits"},
      {"urn:gsma:imei:35209900-176148-2", "wrong check digit"},
      {"urn:gsma:imei:35209900-176184-1", "wrong check digit"},
      {"urn:gsma:imei:352099001761481", "TTTTTTTT-SSSSSS-C"},
      {"urn:gsma:imei:35209900-17614a-1", "other than digits"},
      {"urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf", "36 characters"},
      {"urn:uuid:f81d4fae7-dec-11d0-a765-00a0c91e6bf6", "hyphens"},
      {"urn:uuid:F81D4FAE-7dec-11d0-a765-00a0c91e6bf6", "other than lower-case"},
      {"urn:uuid:00000000-0000-0000-0000-000000000000", "the nil or the max UUID"},
      {"urn:uuid:ffffffff-ffff-ffff-ffff-ffffffffffff", "the nil or the max UUID"},
      {"urn:dev:os:32473", "NUMBER-SERIAL"},
      {"urn:dev:os:-1", "NUMBER-SERIAL"},
      {"urn:dev:os:32473-", "NUMBER-SERIAL"},
      {"urn:dev:os:032473-1", "private enterprise number"},
      {"urn:dev:os:3247x-1", "private enterprise number"},
      {"urn:dev:os:32473-a b", "serial with a character"},
      {"urn:dev:os:32473-a/b", "serial with a character"},
  };
  for (const auto& c : cases) {
    const auto id = entity_id::parse(c.text);
    ASSERT_FALSE(id) << c.text;
    EXPECT_EQ(id.error().code, errc::wire_grammar);
    EXPECT_THAT(id.error().detail, HasSubstr(c.why)) << c.text;
  }
}

TEST(entity_id, accepts_only_one_check_digit) {
  int good = 0;
  for (char d = '0'; d <= '9'; ++d)
    good += entity_id::parse(std::string{"urn:gsma:imei:49015420-323751-"} + d).has_value();
  EXPECT_EQ(good, 1);
}

TEST(entity_id, hostile_text_does_not_reach_the_error) {
  const auto id = entity_id::parse("urn:\x1b[31m\n'x");
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().detail.find('\x1b'), std::string::npos);
  EXPECT_EQ(id.error().detail.find('\n'), std::string::npos);
}

TEST(entity_id, a_zero_byte_inside_is_refused) {
  EXPECT_FALSE(entity_id::parse(std::string_view{"urn:dev:os:1-a\0b", 16}));
}

TEST(user_id, accepts_printable_ascii_of_1_to_64_bytes) {
  EXPECT_TRUE(user_id::parse("ada@example.org"));
  EXPECT_TRUE(user_id::parse(std::string(64, 'a')));
  EXPECT_FALSE(user_id::parse(""));
  EXPECT_FALSE(user_id::parse(std::string(65, 'a')));
  EXPECT_FALSE(user_id::parse("ada lovelace"));
  EXPECT_FALSE(user_id::parse("ada\x7f"));
  EXPECT_FALSE(user_id::parse("ad\xc3\xa4"));
}

TEST(epoch, has_generation_and_index) {
  constexpr epoch e{70000, 5};
  EXPECT_EQ(e.value(), 70000u * std::uint64_t{65536} + 5);
  EXPECT_EQ(e.generation(), 70000u);
  EXPECT_EQ(e.index(), 5u);
  EXPECT_EQ(e.text(), "70000.5");
  EXPECT_EQ(epoch::from_value(epoch::max_value), (epoch{0xffffffff, 0xffff}));
  EXPECT_LT((epoch{1, 65535}), (epoch{2, 0}));
}

TEST(ids, are_keys_of_hashed_containers) {
  std::unordered_set<entity_id> seen{*entity_id::parse("urn:dev:os:1-a"),
                                     *entity_id::parse("urn:dev:os:1-b")};
  EXPECT_EQ(seen.count(*entity_id::parse("urn:dev:os:1-a")), 1u);
  std::unordered_set<gateway_id> gateways{gateway_id{}};
  gateway_id other;
  other.value[15] = 1;
  EXPECT_EQ(gateways.count(other), 0u);
  EXPECT_EQ(other.hex(), "00000000000000000000000000000001");
}

}  // namespace
}  // namespace cpns
