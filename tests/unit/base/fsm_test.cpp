#include "base/fsm.hpp"

#include <gtest/gtest.h>

#include "base/errc.hpp"
#include "base/result.hpp"

namespace cpns {
namespace {

enum class state { off, on, count_ };
enum class event { push, wait, count_ };
enum class action { none, light, count_ };
using row = fsm::row<state, event, action>;
using fsm::verdict;

constexpr std::array<row, 4> lamp{{
    {state::off, event::push, verdict::accept, action::light, state::on, "1"},
    {state::off, event::wait, verdict::ignore, action::none, state::off, "1"},
    {state::on, event::push, verdict::accept, action::none, state::off, "2"},
    {state::on, event::wait, verdict::reject, action::none, state::on, "2"},
}};

constexpr auto with(std::size_t at, row r) {
  auto changed = lamp;
  changed[at] = r;
  return changed;
}

static_assert(fsm::is_total(lamp) && fsm::is_reachable(lamp, state::off));

TEST(fsm, a_pair_that_is_decided_twice_or_never_is_found) {
  EXPECT_TRUE(fsm::is_total(lamp));
  EXPECT_FALSE(fsm::is_total(with(1, lamp[0])));
  EXPECT_FALSE(fsm::is_total(std::array<row, 3>{lamp[0], lamp[1], lamp[2]}));
}

TEST(fsm, a_state_that_only_ignored_rows_lead_to_is_unreachable) {
  EXPECT_TRUE(fsm::is_reachable(lamp, state::on));
  EXPECT_FALSE(fsm::is_reachable(
      with(0, {state::off, event::push, verdict::ignore, action::none, state::on, "1"}), state::off));
}

TEST(fsm, find_gives_the_deciding_row) {
  EXPECT_EQ(fsm::find(lamp, state::on, event::wait).what, verdict::reject);
  EXPECT_EQ(fsm::find(lamp, state::off, event::push).to, state::on);
}

result<int> half(int v) {
  if (v % 2 != 0) return fail(errc::wire_range, "odd");
  return v / 2;
}
result<int> quarter(int v) {
  CPNS_TRY(const int h, half(v));
  return half(h);
}
status even(int v) {
  CPNS_CHECK(half(v));
  return {};
}

TEST(result, errors_travel_up_with_code_and_detail) {
  EXPECT_EQ(quarter(8).value(), 2);
  const auto bad = quarter(6);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, errc::wire_range);
  EXPECT_EQ(bad.error().message(), "a number is out of its range: odd");
  EXPECT_TRUE(even(2));
  EXPECT_FALSE(even(3));
}

TEST(errc, tells_who_is_at_fault) {
  EXPECT_EQ(fault_of(errc::peer_bad_tag), fault::peer);
  EXPECT_EQ(fault_of(errc::store_full), fault::store);
  EXPECT_EQ(fault_of(errc::internal), fault::internal);
  EXPECT_EQ(name_of(errc::crypto_open_failed), "crypto_open_failed");
  EXPECT_FALSE(sentence_of(errc::crypto_open_failed).empty());
}

}  // namespace
}  // namespace cpns
