// Lines of changes that need no store, while the store of the role is away.

#include <algorithm>

#include "tests/unit/audit/support.hpp"

namespace cpns::audit {
namespace {

class away_store : public trail_test {
 protected:
  static change drain() {
    change c;
    c.action = "server-drain";
    c.before = boost::json::object{{"draining", false}};
    c.after = boost::json::object{{"draining", true}};
    return c;
  }
  static bool drains(trail& t) {
    auto ticket = t.begin(drain(), durable::in_file);
    return ticket && t.finish(std::move(*ticket), {});
  }
  [[nodiscard]] std::size_t drain_lines() const {
    const auto all = objects();
    return static_cast<std::size_t>(std::count_if(
        all.begin(), all.end(), [](const auto& l) { return text(l, "action") == "server-drain"; }));
  }
};

TEST_F(away_store, holds_up_changes_in_it_and_no_others) {
  const auto t = must_open();
  make_change(*t, "alice");
  const auto before = lines().size();
  under.fail_writes(errc::store_unavailable);
  EXPECT_TRUE(drains(*t)) << "no line before it waits";
  EXPECT_EQ(lines().size(), before + 2);
  EXPECT_EQ(t->begin(add("bob")).error().code, errc::store_unavailable);
  EXPECT_FALSE(t->health().writable);
  EXPECT_TRUE(drains(*t)) << "other lines wait";
  EXPECT_FALSE(t->health().writable) << "the store is still away";
  EXPECT_EQ(drain_lines(), 4U) << "two intents with their outcomes";
  under.repair();
  t->tick();
  EXPECT_TRUE(t->health().writable);
  EXPECT_EQ(fault(), "whole");
  make_change(*t, "carol");
  EXPECT_EQ(fault(), "whole");
}

TEST_F(away_store, gets_the_head_when_nothing_else_happens) {
  const auto t = must_open();
  make_change(*t, "alice");
  ASSERT_TRUE(drains(*t));
  EXPECT_NE(head().head.number, objects().size());
  t->tick();
  EXPECT_EQ(head().head.number, objects().size());
}

TEST_F(away_store, takes_the_lines_in_at_the_next_start) {
  {
    const auto t = must_open();
    make_change(*t, "alice");
    under.fail_writes(errc::store_unavailable);
    ASSERT_TRUE(drains(*t));
  }
  const auto written = lines();
  under.repair();
  const auto t = must_open();
  make_change(*t, "bob");
  EXPECT_EQ(fault(), "whole");
  const auto all = lines();
  ASSERT_EQ(all.size(), written.size() + 2) << "no repair";
  EXPECT_TRUE(std::equal(written.begin(), written.end(), all.begin()));
}

/// A start takes one batch in; more lines would look like those of a thief.
TEST_F(away_store, bounds_the_lines_that_it_does_not_know) {
  {
    const auto t = must_open();
    make_change(*t, "alice");
    under.fail_writes(errc::store_unavailable);
    int done = 0;
    while (done < 1000 && drains(*t)) ++done;
    EXPECT_GT(done, 50);
    EXPECT_LT(done, 70);
  }
  under.repair();
  const auto t = must_open();
  make_change(*t, "bob");
  EXPECT_EQ(fault(), "whole");
  const auto all = objects();
  EXPECT_TRUE(
      std::none_of(all.begin(), all.end(), [](const auto& l) { return text(l, "kind") == "repaired"; }));
}

}  // namespace
}  // namespace cpns::audit
