// The reader of JSON takes what RFC 8259 allows, and nothing else.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>

extern "C" {
#include "json.h"
}

namespace cpns::tests {
namespace {

bool is_json(std::string text) {
  json j{};
  json_begin(&j, text.data(), text.size());
  return json_skip(&j) && json_end(&j);
}

std::string text_of(std::string text) {
  json j{};
  json_begin(&j, text.data(), text.size());
  char* out = nullptr;
  std::size_t length = 0;
  return json_text(&j, &out, &length) && json_end(&j) ? std::string{out, length} : "refused";
}

std::string number_of(std::string text) {
  json j{};
  json_begin(&j, text.data(), text.size());
  std::uint64_t out = 0;
  return json_number(&j, &out) && json_end(&j) ? std::to_string(out) : "refused";
}

TEST(KeysJson, TakesJson) {
  for (const char* text : {"{}", "[]", " [ ] ", "null", "true", "false", "0", "-0", "1.5e-3", "-12E+4",
                           "\"\"", R"({"a":[1,{"b":"c"},[[]]],"d":null})", "\t{\r\n\"a\" : 1 , \"b\":2}"})
    EXPECT_TRUE(is_json(text)) << text;
}

TEST(KeysJson, RefusesWhatIsNot) {
  for (const char* text : {"",
                           " ",
                           "{",
                           "}",
                           "[",
                           "]",
                           "[1",
                           "[1,",
                           "[1,]",
                           "[,1]",
                           "[1 2]",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{\"a\":1,}",
                           "{a:1}",
                           "{1:1}",
                           "{\"a\":1 \"b\":2}",
                           "[1}",
                           "{\"a\":1]",
                           "01",
                           "-",
                           "+1",
                           "1.",
                           ".5",
                           "1e",
                           "1e+",
                           "-01",
                           "tru",
                           "truex",
                           "nul",
                           "True",
                           "\"",
                           "\"\\",
                           "\"\\u12\"",
                           "\"\\x\"",
                           "\"a\nb\"",
                           "'a'",
                           "1 1",
                           "{} {}",
                           "1a",
                           "NaN"})
    EXPECT_FALSE(is_json(text)) << text;
  EXPECT_FALSE(is_json(std::string{"\"a\0b\"", 5}));
  EXPECT_FALSE(is_json(std::string{"1\0", 2}));
}

TEST(KeysJson, ReadsTexts) {
  EXPECT_EQ(text_of(R"("a\"\\\/\b\f\n\r\tb")"), "a\"\\/\b\f\n\r\tb");
  EXPECT_EQ(text_of(R"("\u0041\u00e9\u20AC\ud83d\ude00")"), "A\u00e9\u20ac\U0001F600");
  EXPECT_EQ(text_of("\"\u00e9\u20ac\U0001F600\""), "\u00e9\u20ac\U0001F600");
  for (const char* text : {R"("\u0000")", R"("\ud83d")", R"("\ud83dx")", R"("\ud83d\u0041")", R"("\ude00")",
                           "\"\xff\"", "\"\xc0\x80\"", "\"\xc3\"", "\"\xe0\x80\x80\"", "\"\xed\xa0\x80\"",
                           "\"\xf0\x80\x80\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\""})
    EXPECT_EQ(text_of(text), "refused") << text;
}

TEST(KeysJson, ReadsWholeNumbers) {
  EXPECT_EQ(number_of("0"), "0");
  EXPECT_EQ(number_of("18446744073709551615"), "18446744073709551615");
  for (const char* text :
       {"18446744073709551616", "99999999999999999999999", "-1", "1.0", "1e3", "00", "", "\"1\""})
    EXPECT_EQ(number_of(text), "refused") << text;
}

TEST(KeysJson, IsAsDeepAsItsLimit) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(is_json(nested(json_depth_max)));
  EXPECT_FALSE(is_json(nested(json_depth_max + 1)));
  EXPECT_FALSE(is_json(std::string(1'000'000, '[')));
}

}  // namespace
}  // namespace cpns::tests
