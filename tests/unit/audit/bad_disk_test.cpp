// A trail on a disk that is full or fails: no change happens without its intent, and what the trail owes is written as
// soon as there is space. tests/support/bad_disk.c, linked in front of the C library, makes calls fail.

#include <csignal>
#include <cstdlib>
#include <sys/resource.h>

#include "audit/trail_file.hpp"
#include "support.hpp"

namespace cpns::audit {
namespace {

namespace fs = std::filesystem;

class bad_audit_disk : public trail_test {
 protected:
  void SetUp() override { ::setenv("CPNS_BAD_DISK", script.c_str(), 1); }
  void TearDown() override { ::unsetenv("CPNS_BAD_DISK"); }
  void fail(const std::string& calls, int number, const std::string& more = {}) {
    write_file(script, calls + " " + std::to_string(number) + " " + file.string() + more + "\n");
  }
  void work_again() { fs::remove(script); }

  fs::path script = folder / "script";
};

TEST_F(bad_audit_disk, refuses_a_change_whose_intent_cannot_be_written) {
  struct trouble {
    const char* calls;
    int number;
    errc code;
  };
  for (const auto& one :
       {trouble{"write", ENOSPC, errc::store_full}, trouble{"sync", EIO, errc::store_write_failed},
        trouble{"all", EROFS, errc::store_write_failed}}) {
    const auto t = must_open();
    make_change(*t, "alice");
    const auto before = read_file(file);
    fail(one.calls, one.number);
    for (int i = 0; i < 3; ++i) {
      const auto ticket = t->begin(add("bob"));
      ASSERT_FALSE(ticket) << one.calls;
      EXPECT_EQ(ticket.error().code, one.code);
      EXPECT_TRUE(
          has(ticket.error().detail, "the audit trail cannot record the change, so it was not made: "));
      EXPECT_TRUE(has(ticket.error().detail, file.string())) << ticket.error().detail;
    }
    EXPECT_FALSE(t->health().writable);
    EXPECT_FALSE(t->health().why.empty());
    work_again();
    EXPECT_EQ(read_file(file), before) << "nothing of the refused change is left";
    EXPECT_EQ(t->statistics().open, 0U);
    make_change(*t, "carol");
    EXPECT_TRUE(t->health().writable);
    EXPECT_EQ(fault(), "whole");
  }
}

TEST_F(bad_audit_disk, keeps_an_outcome_until_there_is_space) {
  const auto t = must_open();
  auto ticket = t->begin(add("alice")).value();
  fail("write", ENOSPC);
  EXPECT_FALSE(t->finish(std::move(ticket), {}));
  EXPECT_EQ(t->statistics().late, 1U);
  t->tick();
  EXPECT_EQ(lines().size(), 2U);
  work_again();
  t->tick();
  EXPECT_EQ(t->statistics().late, 0U);
  EXPECT_EQ(t->statistics().open, 0U);
  EXPECT_EQ(text(objects().back(), "outcome"), "done");
  EXPECT_EQ(fault(), "whole");
}

TEST_F(bad_audit_disk, counts_refusals_that_it_could_not_write) {
  const auto t = must_open();
  fail("write", ENOSPC);
  for (int i = 0; i < 7; ++i) t->refused(add("alice"), "no rights");
  t->tick();
  work_again();
  t->tick();
  const auto last = objects().back();
  EXPECT_EQ(last.at("left_out").as_int64(), 7);
  EXPECT_TRUE(last.at("unwritten").as_bool());
}

TEST_F(bad_audit_disk, counts_changes_that_were_refused_because_it_could_not_write) {
  const auto t = must_open();
  fail("write", ENOSPC);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(t->begin(add("alice")));
  t->refused(add("bob"), "no rights");
  EXPECT_EQ(t->statistics().refusals, 4U);
  EXPECT_EQ(t->statistics().left_out, 4U);
  work_again();
  t->tick();
  const auto last = objects().back();
  EXPECT_EQ(text(last, "kind"), "refusals");
  EXPECT_EQ(last.at("left_out").as_int64(), 4);
  EXPECT_TRUE(last.at("unwritten").as_bool());
}

TEST_F(bad_audit_disk, does_not_stop_a_start_and_is_written_later) {
  killed([this] {
    const auto t = must_open();
    const auto a = t->begin(add("alice"));
    remember();
  });
  fail("all", ENOSPC);
  const auto t = must_open([](const unfinished&) { return outcome{verdict::done}; });
  ASSERT_TRUE(t);
  EXPECT_FALSE(t->health().writable);
  EXPECT_EQ(t->begin(add("bob")).error().code, errc::store_full);
  work_again();
  make_change(*t, "carol");
  const auto all = objects();
  ASSERT_EQ(all.size(), 5U);
  EXPECT_TRUE(all[2].at("recovered").as_bool());
  EXPECT_EQ(text(all[3], "object"), "carol");
  EXPECT_EQ(fault(), "whole");
}

TEST_F(bad_audit_disk, does_not_stop_the_first_start) {
  fail("all", EROFS);
  const auto t = must_open();
  ASSERT_TRUE(t);
  EXPECT_FALSE(fs::exists(file));
  EXPECT_FALSE(t->begin(add("bob")));
  work_again();
  make_change(*t, "carol");
  EXPECT_EQ(text(objects().at(0), "kind"), "began");
  EXPECT_EQ(fault(), "whole");
}

TEST_F(bad_audit_disk, cuts_off_a_line_of_which_only_a_part_fits) {
  const auto t = must_open();
  make_change(*t, "alice");
  const auto before = read_file(file);
  struct rlimit usual {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &usual), 0);
  std::signal(SIGXFSZ, SIG_IGN);
  auto tight = usual;
  tight.rlim_cur = before.size() + 100;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  const auto refused = t->begin(add("bob"));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &usual), 0);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(has(refused.error().detail, "File too large")) << refused.error().detail;
  EXPECT_EQ(read_file(file), before);
  make_change(*t, "carol");
  EXPECT_EQ(fault(), "whole");
}

}  // namespace
}  // namespace cpns::audit
