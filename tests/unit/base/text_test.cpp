#include "base/text.hpp"

#include <gtest/gtest.h>

namespace {

using namespace cpns;

TEST(nearest, finds_a_misspelt_word_and_no_other_one) {
  const std::vector<std::string_view> keys{"listen", "limits", "log", "store", "protector"};
  EXPECT_EQ(nearest("lisen", keys), "listen");
  EXPECT_EQ(nearest("lsiten", keys), "listen");
  EXPECT_EQ(nearest("protecter", keys), "protector");
  EXPECT_EQ(nearest("lgo", keys), "log");
  EXPECT_EQ(nearest("temperature", keys), std::nullopt);
  EXPECT_EQ(nearest("", keys), std::nullopt);
  EXPECT_EQ(nearest(std::string(10000, 'x'), keys), std::nullopt);
}

TEST(fits, compares_a_text_or_its_beginning) {
  EXPECT_TRUE(fits("urn:a:1", "urn:a:1"));
  EXPECT_FALSE(fits("urn:a:1", "urn:a:12"));
  EXPECT_TRUE(fits("urn:a:*", "urn:a:12"));
  EXPECT_TRUE(fits("urn:a:*", "urn:a:"));
  EXPECT_FALSE(fits("urn:a:*", "urn:a"));
  EXPECT_TRUE(fits("*", ""));
}

TEST(plural, has_an_s_unless_there_is_one) {
  EXPECT_EQ(plural(0, "row"), "0 rows");
  EXPECT_EQ(plural(1, "row"), "1 row");
  EXPECT_EQ(plural(2, "device"), "2 devices");
}

TEST(shown, is_safe_for_a_terminal) {
  EXPECT_EQ(shown("a\x1b[31m\n"), "'a?[31m?'");
  EXPECT_EQ(shown(std::string(100, 'a')).size(), 60 + 5);
}

TEST(text, shows_control_characters_as_question_marks) {
  EXPECT_EQ(without_controls("a\x1b[1m\n\x7f\xc2\x9b"
                             "b"),
            "a?[1m???b");
  EXPECT_EQ(without_controls("Gr\xc3\xbc\xc3\x9f"
                             "e \xc2\xb5 \xc2"),
            "Gr\xc3\xbc\xc3\x9f"
            "e \xc2\xb5 \xc2");
  EXPECT_TRUE(has_controls(std::string_view{"\0", 1}));
  EXPECT_FALSE(has_controls("lot 7"));
}

}  // namespace
