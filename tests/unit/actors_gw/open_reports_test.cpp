// Which reports are open after a restart: every one that the server has not answered, and few others.
#include "actors/pn_gw/open_reports.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>

namespace cpns::actors {
namespace {

using exceptions = std::vector<std::int64_t>;

std::string pne(int i) { return "pne " + std::to_string(i); }

/// Writes a record, at once durable; its row.
std::optional<settled_reports> put(open_reports& to, int who, std::optional<std::int64_t> date) {
  const auto change = to.write(pne(who), date);
  to.written(pne(who), change);
  return change.row;
}

open_reports of_an_empty_store() {
  open_reports out;
  out.begin({});
  return out;
}

TEST(open_reports, a_row_is_written_after_enough_answers) {
  auto reports = of_an_empty_store();
  (void)put(reports, 256, 2000);
  for (int i = 0; i < 255; ++i) {
    EXPECT_FALSE(put(reports, i, 1000 + i));
    EXPECT_TRUE(reports.answered(pne(i)).empty());
  }
  EXPECT_FALSE(put(reports, 255, 1255));
  const auto row = reports.answered(pne(255)).row;
  ASSERT_TRUE(row);
  EXPECT_EQ(row->before, 2001);
  EXPECT_EQ(row->exceptions, (exceptions{2000}));
  EXPECT_FALSE(row->is_open(1255));
  EXPECT_TRUE(row->is_open(2000));
  EXPECT_TRUE(row->is_open(2001));
  EXPECT_FALSE(reports.is_open(pne(3)));
  EXPECT_TRUE(reports.is_open(pne(256)));
}

TEST(open_reports, a_record_without_a_report_settles_the_one_before) {
  auto reports = of_an_empty_store();
  for (int i = 0; i < 256; ++i) {
    EXPECT_FALSE(put(reports, i, 1000));
    EXPECT_FALSE(put(reports, i, std::nullopt));
  }
  EXPECT_TRUE(put(reports, 1, std::nullopt));
  EXPECT_EQ(reports.size(), 0U);
}

TEST(open_reports, more_open_ones_than_a_row_has_room_for_keep_it_from_moving_on) {
  auto reports = of_an_empty_store();
  for (int i = 0; i < 400; ++i) (void)put(reports, i, 1000 + i);
  std::optional<settled_reports> row;
  for (int i = 100; i < 400; ++i)
    if (auto done = reports.answered(pne(i)); done.row) row = done.row;
  ASSERT_TRUE(row);
  EXPECT_EQ(row->exceptions.size(), settled_reports::exceptions_max);
  EXPECT_EQ(row->before, 1064);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(row->is_open(1000 + i));
}

TEST(open_reports, a_clock_that_was_set_back_settles_nothing) {
  open_reports reports;
  reports.begin({5000, {}});
  const auto first = reports.write(pne(1), 300);
  ASSERT_TRUE(first.row) << "the row in the store calls this report settled";
  EXPECT_TRUE(first.row->is_open(300));
  EXPECT_TRUE(reports.write(pne(2), 4000).row) << "it is not known that the row before is in the store";
  EXPECT_FALSE(reports.write(pne(3), 6000).row);
}

TEST(open_reports, a_write_that_failed_settles_nothing) {
  auto reports = of_an_empty_store();
  (void)put(reports, 1, 1000);
  const auto failed = reports.write(pne(1), 2000);
  EXPECT_EQ(failed.replaced, (exceptions{1000}));
  EXPECT_TRUE(reports.is_open(pne(1)));
  (void)reports.write(pne(1), std::nullopt);
  EXPECT_TRUE(reports.is_open(pne(1)));
  for (int i = 2; i < 400; ++i) {
    const auto row = put(reports, i, 3000);
    (void)reports.answered(pne(i));
    if (!row) continue;
    EXPECT_TRUE(row->is_open(1000));
    EXPECT_TRUE(row->is_open(2000));
    EXPECT_FALSE(row->is_open(2999));
  }
  (void)reports.answered(pne(1));
  EXPECT_EQ(reports.size(), 0U);
}

TEST(open_reports, nothing_is_settled_in_a_store_that_was_not_read) {
  open_reports reports;
  EXPECT_TRUE(reports.is_open(pne(1)));
  const auto row = put(reports, 1, 1000);
  ASSERT_TRUE(row);
  EXPECT_TRUE(row->is_open(0));
  for (int i = 0; i < 1000; ++i) {
    (void)put(reports, i, 1000);
    EXPECT_TRUE(reports.answered(pne(i)).empty());
  }
  EXPECT_FALSE(put(reports, 1, std::nullopt));
}

TEST(open_reports, a_row_survives_encoding) {
  for (const auto& s :
       {settled_reports{}, settled_reports{17, {}}, settled_reports{1'790'000'000'123, {5, 5, 9}}}) {
    const auto back = decode_settled_reports(encode(s).expose());
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(back->before, s.before);
    EXPECT_EQ(back->exceptions, s.exceptions);
  }
  const auto wire = encode(settled_reports{17, {5, 9}});
  for (std::size_t n = 0; n < wire.size(); ++n)
    EXPECT_FALSE(decode_settled_reports(wire.expose().first(n))) << n;
  auto swapped = encode(settled_reports{17, {9, 5}});
  EXPECT_FALSE(decode_settled_reports(swapped.expose()));
}

/// A store of which each write can fail without a trace, or turn up in spite of its error, and a gateway that is killed at any
/// time. Dates come from a clock that steps.
class world {
 public:
  explicit world(unsigned seed) : dice_(seed) { restart(); }

  void step() {
    if (below(3000) == 0) return restart();
    switch (below(12)) {
    case 0: clock_ += below(20) == 0 ? below(2000) - 1000 : 1; break;
    case 1: return write(below(pnes), false);
    case 2:
    case 3:
    case 4:
    case 5:
    case 6: return answer();
    case 7: return end_a_write();
    default: return write(below(pnes), true);
    }
  }
  /// A report that the server has not answered, and that the store calls settled; 0: there is none.
  [[nodiscard]] std::size_t lost() const {
    std::size_t out = 0;
    for (const auto& [who, r] : records_)
      if (r.reports && !r.answered && !row_.is_open(r.date)) ++out;
    return out;
  }
  [[nodiscard]] std::size_t rows() const { return rows_; }
  [[nodiscard]] std::size_t settled() const {
    std::size_t out = 0;
    for (const auto& [who, r] : records_) out += r.reports && !row_.is_open(r.date) ? 1 : 0;
    return out;
  }

 private:
  static constexpr int pnes = 200;
  struct record {
    bool reports = false, answered = false;
    std::int64_t date = 0;
  };
  struct change {
    int who;
    record to;
    open_reports::change with;
  };

  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(dice_() % static_cast<std::uint64_t>(n));
  }
  void apply(const change& c) {
    if (c.who >= 0) records_[c.who] = c.to;
    if (c.with.row) row_ = *c.with.row;
  }
  void write(std::int64_t who, bool reports) {
    const auto n = static_cast<int>(who);
    clock_ += below(3);
    const record to{reports, false, std::max<std::int64_t>(clock_, 0)};
    change c{n, to, open_.write(pne(n), reports ? std::optional{clock_} : std::nullopt)};
    rows_ += c.with.row ? 1 : 0;
    pending_.push_back(std::move(c));
    if (below(3) != 0) end_a_write();
  }
  void end_a_write() {
    if (pending_.empty()) return;
    const auto c = pending_.front();
    pending_.pop_front();
    const auto luck = below(20);
    if (luck != 0) apply(c);
    if (luck > 1) open_.written(c.who >= 0 ? pne(c.who) : "", c.with);
    in_doubt_.erase(c.who);
    if (luck <= 1) in_doubt_.insert(c.who);  // the machine gets no answers until it has read its record
  }
  /// The server answers a report that is durable.
  void answer() {
    const auto n = static_cast<int>(below(pnes));
    const auto at = records_.find(n);
    if (at == records_.end() || !at->second.reports || in_doubt_.contains(n)) return;
    for (const auto& c : pending_)
      if (c.who == n) return;
    at->second.answered = true;
    if (auto row = open_.answered(pne(n)); !row.empty()) {
      ++rows_;
      pending_.push_back({-1, {}, std::move(row)});
    }
  }
  void restart() {
    while (!pending_.empty() && below(2) == 0) {
      apply(pending_.front());
      pending_.pop_front();
    }
    pending_.clear();
    in_doubt_.clear();
    open_ = {};
    for (const auto& [who, r] : records_)
      if (r.reports && row_.is_open(r.date)) open_.found(pne(who), r.date);
    open_.begin(row_);
  }

  std::mt19937_64 dice_;
  std::int64_t clock_ = 10'000;
  std::map<int, record> records_;
  settled_reports row_;
  open_reports open_;
  std::deque<change> pending_;
  std::set<int> in_doubt_;
  std::size_t rows_ = 0;
};

TEST(open_reports, none_is_lost_whenever_the_gateway_is_killed_and_whatever_its_clock_does) {
  std::size_t rows = 0, settled = 0;
  for (unsigned seed = 1; seed <= 20; ++seed) {
    world w{seed};
    for (int i = 0; i < 20'000; ++i) {
      w.step();
      ASSERT_EQ(w.lost(), 0U) << "seed " << seed << ", step " << i;
    }
    rows += w.rows();
    settled += w.settled();
  }
  EXPECT_GT(rows, 40U);
  EXPECT_GT(settled, 40U) << "the row never said anything";
}

}  // namespace
}  // namespace cpns::actors
