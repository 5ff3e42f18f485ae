// The store on a disk that fails, for a while or permanently. tests/support/bad_disk.c, linked in front of the C
// library, makes calls fail as its script describes.

#include <cstdlib>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/group_commit.hpp"
#include "storage/rocksdb_store.hpp"
#include "support.hpp"

namespace cpns::storage::testing {
namespace {

namespace fs = std::filesystem;

/// Writes the script of the failing disk; it applies only to the folder `store` of this test.
class bad_disk {
 public:
  explicit bad_disk(const temporary_folder& dir) : script_(dir / "script"), folder_(dir / "store") {
    ::setenv("CPNS_BAD_DISK", script_.c_str(), 1);
  }
  ~bad_disk() { ::unsetenv("CPNS_BAD_DISK"); }
  bad_disk(const bad_disk&) = delete;
  bad_disk& operator=(const bad_disk&) = delete;

  void fail(std::string_view calls, int number, std::string_view more = "") {
    const auto fresh = script_.string() + ".new";
    set_content(fresh, std::string(calls) + " " + std::to_string(number) + " " + folder_.string() +
                           std::string(more) + "\n");
    fs::rename(fresh, script_);
  }
  void work_again() { fs::remove(script_); }
  [[nodiscard]] bool failed_once() const { return !fs::exists(script_); }

 private:
  fs::path script_, folder_;
};

/// Waits up to 30 s for the condition; false if it is still not true.
template <class Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 6000 && !condition(); ++i) ::poll(nullptr, 0, 5);
  return condition();
}

bool becomes_writable(const store& s) {
  return eventually([&s] { return s.health().writable; });
}

/// Acknowledged rows, and batches of two rows whose outcome is unknown.
struct account {
  rows acknowledged;
  std::vector<std::string> unknown;
  int next = 0;

  status write(store& s) {
    const auto number = std::to_string(next++);
    auto done =
        testing::write(s, {put(table::peers, number, "left " + number), put(table::users, number, "right")});
    if (done)
      acknowledged.emplace(number, "left " + number);
    else
      unknown.push_back(number);
    return done;
  }
  void check(const store& s, const std::string& when) const {
    for (const auto& [row, value] : acknowledged) {
      EXPECT_EQ(read(s, table::peers, row), value) << when;
      EXPECT_EQ(read(s, table::users, row), "right") << when;
    }
    for (const auto& row : unknown)
      EXPECT_EQ(read(s, table::peers, row) == "(none)", read(s, table::users, row) == "(none)")
          << when << ": half of batch " << row << " is there";
  }
  /// Checks the store that the next start would find if the power failed now.
  void check_cut(const temporary_folder& dir) const {
    const auto copy = dir / "cut";
    fs::remove_all(copy);
    fs::copy(dir / "store", copy, fs::copy_options::recursive);
    const auto s = open_rocksdb_store(copy);
    ASSERT_OK(s);
    check(**s, "after a power cut");
  }
};

TEST(bad_disk, loses_only_one_write_when_one_sync_fails) {
  const temporary_folder dir;
  bad_disk disk(dir);
  auto s = open_rocksdb_store(dir / "store");
  ASSERT_OK(s);
  account a;
  for (int i = 0; i < 20; ++i) ASSERT_OK(a.write(**s));
  disk.fail("sync", EIO, " once");
  EXPECT_EQ(code(a.write(**s)), "store_write_failed");
  EXPECT_TRUE(disk.failed_once());
  ASSERT_TRUE(becomes_writable(**s));
  EXPECT_EQ((*s)->health().reopened, 1U);
  a.check(**s, "reopened");
  a.check_cut(dir);
  for (int i = 0; i < 20; ++i) ASSERT_OK(a.write(**s));
  a.check(**s, "later");
  s->reset();
  a.check_cut(dir);
}

struct trouble {
  const char* name;
  const char* calls;
  int number;
  const char* code;
};

class bad_disk_for_a_while : public ::testing::TestWithParam<trouble> {};

TEST_P(bad_disk_for_a_while, loses_only_the_writes_made_meanwhile) {
  const auto& t = GetParam();
  const temporary_folder dir;
  bad_disk disk(dir);
  auto s = open_rocksdb_store(dir / "store");
  ASSERT_OK(s);
  account a;
  for (int round = 1; round <= 2; ++round) {
    for (int i = 0; i < 20; ++i) ASSERT_OK(a.write(**s));
    disk.fail(t.calls, t.number);
    // The first write and later ones fail with this code, also after a probe in between.
    EXPECT_EQ(code(a.write(**s)), t.code);
    EXPECT_TRUE(eventually([&] { return (*s)->health().why.find("CPNS_PROBE") != std::string::npos; }));
    EXPECT_FALSE((*s)->health().writable);
    EXPECT_EQ(code(a.write(**s)), t.code);
    a.check(**s, "while it fails");
    disk.work_again();
    ASSERT_TRUE(becomes_writable(**s));
    EXPECT_EQ((*s)->health().reopened, static_cast<std::uint64_t>(round));
    EXPECT_EQ((*s)->health().why, "");
    a.check(**s, "reopened");
    a.check_cut(dir);
  }
  ASSERT_OK(a.write(**s));
  a.check(**s, "later");
}

INSTANTIATE_TEST_SUITE_P(each, bad_disk_for_a_while,
                         ::testing::Values(trouble{"sync_eio", "sync", EIO, "store_write_failed"},
                                           trouble{"write_eio", "write", EIO, "store_write_failed"},
                                           trouble{"all_eio", "all", EIO, "store_write_failed"},
                                           trouble{"read_only", "write", EROFS, "store_write_failed"},
                                           trouble{"full", "write", ENOSPC, "store_full"}),
                         [](const auto& one) { return std::string(one.param.name); });

TEST(bad_disk, keeps_the_store_locked_while_it_fails_and_afterwards) {
  const temporary_folder dir;
  bad_disk disk(dir);
  auto s = open_rocksdb_store(dir / "store");
  ASSERT_OK(s);
  const auto folder = dir / "store";
  const auto refused = [&folder] {
    const auto pid = ::fork();
    if (pid == 0) {
      ::unsetenv("CPNS_BAD_DISK");
      const auto second = open_rocksdb_store(folder);
      ::_exit(!second && second.error() == errc::store_locked ? 0 : 1);
    }
    int outcome = -1;
    ::waitpid(pid, &outcome, 0);
    return outcome == 0;
  };
  account a;
  ASSERT_OK(a.write(**s));
  disk.fail("all", EIO);
  EXPECT_EQ(code(a.write(**s)), "store_write_failed");
  EXPECT_TRUE(refused());
  disk.work_again();
  while (!(*s)->health().writable) ASSERT_TRUE(refused());
  EXPECT_TRUE(refused());
  ASSERT_OK(a.write(**s));
}

TEST(bad_disk, makes_the_store_lost_but_readable_when_it_fails_longer_than_the_timeout) {
  const temporary_folder dir;
  bad_disk disk(dir);
  auto s = open_rocksdb_store(dir / "store", {.timeout = milliseconds{600}});
  ASSERT_OK(s);
  account a;
  ASSERT_OK(a.write(**s));
  disk.fail("all", EROFS);
  EXPECT_EQ(code(a.write(**s)), "store_write_failed");
  EXPECT_TRUE(eventually([&] { return (*s)->health().lost; }));
  EXPECT_NE((*s)->health().why.find("Read-only file system"), std::string::npos) << (*s)->health().why;
  EXPECT_EQ(code(a.write(**s)), "store_write_failed");
  a.check(**s, "lost");
  disk.work_again();
  s->reset();
  a.check_cut(dir);
}

TEST(bad_disk, is_waited_for_without_limit_when_it_is_full) {
  const temporary_folder dir;
  bad_disk disk(dir);
  auto s = open_rocksdb_store(dir / "store", {.timeout = milliseconds{1}});
  ASSERT_OK(s);
  account a;
  disk.fail("write", ENOSPC);
  EXPECT_EQ(code(a.write(**s)), "store_full");
  EXPECT_TRUE(eventually([&] { return (*s)->health().why.find("CPNS_PROBE") != std::string::npos; }));
  EXPECT_FALSE((*s)->health().lost);
  disk.work_again();
  ASSERT_TRUE(becomes_writable(**s));
  ASSERT_OK(a.write(**s));
}

TEST(bad_disk, is_never_written_again_when_it_lost_acknowledged_writes) {
  const temporary_folder dir;
  bad_disk disk(dir);
  auto s = open_rocksdb_store(dir / "store");
  ASSERT_OK(s);
  account a;
  for (int i = 0; i < 10; ++i) ASSERT_OK(a.write(**s));
  fs::path journal;
  for (const auto& file : fs::directory_iterator(dir / "store"))
    if (file.path().extension() == ".log") journal = file.path();
  const auto size = fs::file_size(journal);
  for (int i = 0; i < 10; ++i) ASSERT_OK(a.write(**s));
  disk.fail("sync", EIO);
  EXPECT_EQ(code(a.write(**s)), "store_write_failed");
  fs::resize_file(journal, size);
  disk.work_again();
  EXPECT_TRUE(eventually([&] { return (*s)->health().lost; }));
  EXPECT_NE((*s)->health().why.find("had acknowledged"), std::string::npos) << (*s)->health().why;
  EXPECT_EQ(code(a.write(**s)), "store_damaged");
}

TEST(bad_disk, does_not_end_a_running_scan_when_it_fails) {
  const temporary_folder dir;
  bad_disk disk(dir);
  auto s = open_rocksdb_store(dir / "store");
  ASSERT_OK(s);
  account a;
  for (int i = 0; i < 20; ++i) ASSERT_OK(a.write(**s));
  disk.fail("sync", EIO, " once");
  std::size_t seen = 0;
  ASSERT_OK((*s)->scan(table::peers, {}, [&](const stored_row& row) {
    if (seen++ == 5) {
      EXPECT_FALSE(a.write(**s));
    }
    EXPECT_EQ(read(**s, table::users, as_text(row.row)), "right");
    return true;
  }));
  EXPECT_EQ(seen, 20U);
  ASSERT_TRUE(becomes_writable(**s));
  a.check(**s, "reopened");
}

}  // namespace
}  // namespace cpns::storage::testing
