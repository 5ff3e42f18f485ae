// A line of a watch that is not as docs/api/keys.md says is refused whole, with a sentence. Epochs and dates are read.

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "fake_role.hpp"

extern "C" {
#include "line.h"
#include "text.h"
}

namespace cpns::tests {
namespace {

std::string wrong_with(std::string text) {
  line l{};
  const char* why = line_read(&l, text.data(), text.size());
  line_free(&l);
  return why == nullptr ? "" : why;
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const auto at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), by);
}

TEST(KeysLine, IsTakenAsItIsSent) {
  EXPECT_EQ(wrong_with(put_text(1, key_text("1.0", "current", true))), "");
  EXPECT_EQ(wrong_with(gone_text(1, "reset")), "");
  EXPECT_EQ(wrong_with(mark_text(1, "synced")), "");
  EXPECT_EQ(wrong_with("{}"), "") << "an event of a later version";
}

TEST(KeysLine, OfAPutNeedsAllOfAKey) {
  const auto good = put_text(1, key_text("1.0", "current", true));
  const std::string no_key = "the role sent a key that is not one";
  for (const char* name : {"epoch", "state", "use", "identity", "key"})
    EXPECT_EQ(
        wrong_with(replaced(good, std::string{"\""} + name + "\":", std::string{"\"not-"} + name + "\":")),
        no_key)
        << name;
  for (const auto& [what, by] :
       {std::pair{"\"1.0\"", "\"1\""}, std::pair{"\"1.0\"", "\"1.0.0\""}, std::pair{"\"1.0\"", "\"-1.0\""},
        std::pair{"\"1.0\"", "\"\""}, std::pair{"\"1.0\"", "\"9999999999999999999.0\""},
        std::pair{"true", "\"true\""}, std::pair{"5a5a5a", "5a5a5"}, std::pair{"5a5a5a", "5a5a"},
        std::pair{"5a5a5a", "5a5g5a"}, std::pair{"\"current\"", "7"}})
    EXPECT_EQ(wrong_with(replaced(good, what, by)), no_key) << by;
  std::string hex;
  for (int i = 0; i < 65; ++i) hex += "5a";
  EXPECT_EQ(wrong_with(
                replaced(good, std::string(32, '5').replace(0, 32, "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"), hex)),
            no_key);
  EXPECT_EQ(wrong_with(replaced(good, "\"current\"", "\"" + std::string(32, 'a') + "\"")), no_key);
  EXPECT_EQ(wrong_with(put_text(1, "")), "a line of the role has no keys");
  EXPECT_EQ(wrong_with(put_text(1, key_text("1.0", "current", true, "5a", other_device))),
            "a line of the role has a key of another device");
  EXPECT_EQ(wrong_with(put_text(1, key_text("1.0", "current", true) + "," + key_text("1.0", "next", false))),
            "the role sent two keys of one epoch");
  EXPECT_EQ(wrong_with(replaced(good, "\"entity\"", "\"other\"")),
            "a line of the role does not name its device");
}

TEST(KeysLine, IsJsonWithFieldsOfTheirTypes) {
  const std::string no_json = "a line of the role is not JSON";
  for (const std::string& text :
       {std::string{"x"}, std::string{"[]"}, std::string{"{\"event\":7}"}, mark_text(1, "synced") + "x",
        std::string{R"({"event":"synced","revision":-1})"},
        std::string{R"({"event":"synced","unreadable":"1"})"}, std::string{R"({"event":"put","keys":{}})"},
        std::string{R"({"event":"begun","watch":"a\"b"})"},
        std::string{R"({"event":"put","sessions_from":"x"})"}, gone_text(1, "reset", std::string(256, 'a'))})
    EXPECT_EQ(wrong_with(text), no_json) << text;
  EXPECT_EQ(wrong_with(R"({"event":"begun"})"), "a line of the role does not name its watch");
}

TEST(KeysText, OrdersEpochsByTheirNumbers) {
  EXPECT_LT(cpns_keys_compare_epochs("3.9", "3.10"), 0);
  EXPECT_GT(cpns_keys_compare_epochs("10.0", "9.99"), 0);
  EXPECT_EQ(cpns_keys_compare_epochs("3.8", "3.8"), 0);
  EXPECT_LT(cpns_keys_compare_epochs("x", "0.0"), 0);
  EXPECT_LT(cpns_keys_compare_epochs(nullptr, "0.0"), 0);
  EXPECT_EQ(cpns_keys_compare_epochs("3", ""), 0);
}

TEST(KeysText, ReadsDates) {
  EXPECT_EQ(milliseconds_of("1970-01-01T00:00:01.500Z"), 1500);
  EXPECT_EQ(milliseconds_of("2000-02-29T12:34:56Z"), 951827696000);
  EXPECT_EQ(milliseconds_of("2026-11-30T20:00:00.123Z"), 1796068800123);
  for (const char* text : {"", "2026", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-32T00:00:00Z",
                           "2026-01-01T24:00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00.5Z",
                           "2026-01-01T00:00:00Zx", "2026-01-01 00:00:00Z"})
    EXPECT_EQ(milliseconds_of(text), 0) << text;
}

TEST(KeysText, NamesEachReason) {
  for (int i = CPNS_GONE_RETIRED; i <= CPNS_GONE_UNKNOWN; ++i) {
    const auto why = static_cast<cpns_gone>(i);
    EXPECT_EQ(cpns_keys_ends_sessions(why), why != CPNS_GONE_RETIRED && why != CPNS_GONE_UNREADABLE);
    const bool of_a_key = why == CPNS_GONE_RETIRED || why == CPNS_GONE_REPLACED;
    EXPECT_EQ(gone_of(cpns_keys_gone_name(why)), of_a_key ? CPNS_GONE_UNKNOWN : why);
  }
}

}  // namespace
}  // namespace cpns::tests
