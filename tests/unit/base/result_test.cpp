// An error keeps its content on its way up through results of any type.
#include "base/result.hpp"

#include <gtest/gtest.h>

namespace cpns {
namespace {

struct error_with_place : error {
  error_with_place(error e, int where = 0) : error(std::move(e)), line(where) {}
  int line;
};
template <class T>
using placed = tl::expected<T, error_with_place>;

placed<int> refused() { return fail(error_with_place{error{errc::config_range, "too large"}, 7}); }
placed<int> tried() {
  CPNS_TRY(const int n, refused());
  return n + 1;
}
placed<int> checked() {
  CPNS_CHECK(refused());
  return 1;
}
result<int> without_place() {
  CPNS_TRY(const int n, refused());
  return n + 1;
}
placed<int> with_place() {
  CPNS_CHECK(without_place());
  return 1;
}

TEST(result, keeps_the_further_members_of_an_error) {
  EXPECT_EQ(tried().error().line, 7);
  EXPECT_EQ(checked().error().line, 7);
}

TEST(result, passes_an_error_through_results_without_its_further_members) {
  EXPECT_EQ(without_place().error().detail, "too large");
  EXPECT_EQ(with_place().error().code, errc::config_range);
  EXPECT_EQ(with_place().error().line, 0);
}

}  // namespace
}  // namespace cpns
