#include "base/fsm.hpp"

#include <gtest/gtest.h>

#include "base/errc.hpp"
#include "base/result.hpp"

namespace cpns {
namespace {

enum class state { off, on, count_ };
enum class event { push, wait, count_ };
enum class action { none, light, count_ };
using table_line = fsm::line<state, event, action>;
using fsm::verdict;

constexpr std::array<table_line, 4> lamp{{
    {event::push, {state::off}, verdict::accept, action::light, state::on, "1"},
    {event::push, {state::on}, verdict::accept, action::none, state::off, "2"},
    {event::wait, {state::off}, verdict::ignore, action::none, std::nullopt, "it is dark already"},
    {event::wait, {state::on}, verdict::reject, action::none, std::nullopt, "waiting needs the dark"},
}};

constexpr auto with(std::size_t at, const table_line& l) {
  auto changed = lamp;
  changed[at] = l;
  return changed;
}

static_assert(fsm::is_total(lamp) && fsm::is_minimal(lamp));
constexpr auto rows = fsm::expand(lamp);
static_assert(fsm::is_reachable(rows, state::off));

TEST(fsm, finds_a_pair_that_has_two_lines_or_none) {
  EXPECT_TRUE(fsm::is_total(lamp));
  EXPECT_FALSE(fsm::is_total(with(1, lamp[0])));
  EXPECT_FALSE(fsm::is_total(std::array<table_line, 3>{lamp[0], lamp[1], lamp[2]}));
  EXPECT_FALSE(fsm::is_total(with(
      2, {event::wait, {state::off}, verdict::ignore, action::none, state::on, "an ignored event moves"})));
}

TEST(fsm, finds_a_line_that_can_be_merged_into_another_one) {
  constexpr table_line both{event::wait, {state::off, state::on}, verdict::ignore, action::none, std::nullopt,
                            "x"};
  constexpr table_line on{event::wait, {state::on}, verdict::ignore, action::none, std::nullopt, "x"};
  constexpr table_line off{event::wait, {state::off}, verdict::ignore, action::none, std::nullopt, "x"};
  constexpr table_line other{event::wait, {state::off}, verdict::ignore, action::none, std::nullopt, "y"};
  constexpr table_line none{event::wait, {}, verdict::ignore, action::none, std::nullopt, "x"};
  EXPECT_TRUE(fsm::is_minimal(std::array<table_line, 1>{both}));
  EXPECT_TRUE(fsm::is_minimal(std::array<table_line, 2>{on, other}));
  EXPECT_FALSE(fsm::is_minimal(std::array<table_line, 2>{on, off}));
  EXPECT_FALSE(fsm::is_minimal(std::array<table_line, 1>{none})) << "it covers no state";
}

TEST(fsm, finds_a_state_that_only_ignored_rows_lead_to) {
  EXPECT_TRUE(fsm::is_reachable(rows, state::on));
  auto changed = rows;
  changed[0].what = verdict::ignore;
  EXPECT_FALSE(fsm::is_reachable(changed, state::off));
}

TEST(fsm, expands_each_line_to_its_states) {
  EXPECT_EQ(fsm::find(rows, state::on, event::wait).what, verdict::reject);
  EXPECT_EQ(fsm::find(rows, state::on, event::wait).to, state::on) << "the state stays";
  EXPECT_EQ(fsm::find(rows, state::off, event::push).to, state::on);
  constexpr auto all_but_on = fsm::all_but({state::on});
  EXPECT_TRUE(all_but_on.has(state::off) && !all_but_on.has(state::on));
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
  EXPECT_EQ(bad.error().message(), "a number is out of range: odd");
  EXPECT_TRUE(even(2));
  EXPECT_FALSE(even(3));
}

TEST(errc, gives_the_party_at_fault) {
  EXPECT_EQ(fault_of(errc::peer_bad_tag), fault::peer);
  EXPECT_EQ(fault_of(errc::store_full), fault::store);
  EXPECT_EQ(fault_of(errc::internal), fault::internal);
  EXPECT_EQ(name_of(errc::crypto_open_failed), "crypto_open_failed");
  EXPECT_FALSE(sentence_of(errc::crypto_open_failed).empty());
}

}  // namespace
}  // namespace cpns
