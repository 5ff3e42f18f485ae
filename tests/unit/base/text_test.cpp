#include "base/text.hpp"

#include <gtest/gtest.h>

namespace {

using namespace cpns;

TEST(nearest_name, is_found_for_a_slip_and_not_for_another_word) {
  const std::vector<std::string_view> keys{"listen", "limits", "log", "store", "protector"};
  EXPECT_EQ(nearest("lisen", keys), "listen");
  EXPECT_EQ(nearest("lsiten", keys), "listen");
  EXPECT_EQ(nearest("protecter", keys), "protector");
  EXPECT_EQ(nearest("lgo", keys), "log");
  EXPECT_EQ(nearest("temperature", keys), std::nullopt);
  EXPECT_EQ(nearest("", keys), std::nullopt);
  EXPECT_EQ(nearest(std::string(10000, 'x'), keys), std::nullopt);
}

TEST(a_pattern, is_a_text_or_the_beginning_of_some) {
  EXPECT_TRUE(fits("urn:a:1", "urn:a:1"));
  EXPECT_FALSE(fits("urn:a:1", "urn:a:12"));
  EXPECT_TRUE(fits("urn:a:*", "urn:a:12"));
  EXPECT_TRUE(fits("urn:a:*", "urn:a:"));
  EXPECT_FALSE(fits("urn:a:*", "urn:a"));
  EXPECT_TRUE(fits("*", ""));
}

TEST(shown_text, is_fit_for_a_terminal) {
  EXPECT_EQ(shown("a\x1b[31m\n"), "'a?[31m?'");
  EXPECT_EQ(shown(std::string(100, 'a')).size(), 60 + 5);
}

}  // namespace
