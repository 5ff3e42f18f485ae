// The store on disk: foreign folders, damage, locks, full disks, crashes.

#include <csignal>
#include <fcntl.h>
#include <functional>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/file.hpp"
#include "storage/rocksdb_store.hpp"
#include "support.hpp"

namespace cpns::storage::testing {
namespace {

namespace fs = std::filesystem;

void fill(const fs::path& folder, std::string_view value = "1") {
  auto s = open_rocksdb_store(folder);
  ASSERT_OK(s);
  ASSERT_OK(write(**s, {put(table::users, "ann", value)}));
}

/// The first file of the folder that is not empty and has `part` in its name.
fs::path file_like(const fs::path& folder, std::string_view part) {
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename().string().find(part) != std::string::npos && entry.file_size() > 0)
      return entry.path();
  ADD_FAILURE() << "no file with this in its name: " << part;
  return {};
}

/// Runs `work` in another process. Returns its exit code, or -1 - signal.
int in_child(const std::function<int()>& work) {
  const auto pid = ::fork();
  if (pid == 0) ::_exit(work());
  int outcome = 0;
  ::waitpid(pid, &outcome, 0);
  return WIFEXITED(outcome) ? WEXITSTATUS(outcome) : -1 - WTERMSIG(outcome);
}

/// A small file system in memory; not mounted if the test lacks the right to mount.
class small_disk {
 public:
  small_disk(const fs::path& at, const char* options) : at_(at) {
    fs::create_directory(at);
    mounted_ = ::mount("tmpfs", at.c_str(), "tmpfs", 0, options) == 0;
  }
  ~small_disk() {
    if (mounted_) ::umount2(at_.c_str(), MNT_DETACH);
  }
  small_disk(const small_disk&) = delete;
  small_disk& operator=(const small_disk&) = delete;
  [[nodiscard]] bool mounted() const { return mounted_; }
  [[nodiscard]] bool make_read_only() const {
    return ::mount("tmpfs", at_.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0;
  }

 private:
  fs::path at_;
  bool mounted_ = false;
};

TEST(rocksdb_store, still_has_its_rows_after_reopening) {
  const temporary_folder dir;
  fill(dir / "a/b/store");
  auto s = open_rocksdb_store(dir / "a/b/store");
  ASSERT_OK(s);
  EXPECT_EQ(read(**s, table::users, "ann"), "1");
}

TEST(rocksdb_store, removes_the_rights_of_others_from_its_folder) {
  const temporary_folder dir;
  fs::create_directory(dir / "store");
  fs::permissions(dir / "store", fs::perms::owner_all | fs::perms::group_read | fs::perms::others_exec);
  fill(dir / "store");
  fill(dir / "new");
  EXPECT_EQ(fs::status(dir / "store").permissions(), fs::perms::owner_all);
  EXPECT_EQ(fs::status(dir / "new").permissions(), fs::perms::owner_all);
}

TEST(rocksdb_store, is_refused_while_another_process_holds_it) {
  const temporary_folder dir;
  auto s = open_rocksdb_store(dir / "store");
  ASSERT_OK(s);
  const auto folder = dir / "store";
  EXPECT_EQ(in_child([&] {
              const auto second = open_rocksdb_store(folder);
              const bool right = !second && second.error() == errc::store_locked &&
                                 second.error().detail.find(folder.string()) != std::string::npos &&
                                 second.error().detail.find(std::to_string(::getppid())) != std::string::npos;
              return right ? 0 : 1;
            }),
            0);
  EXPECT_EQ(code(open_rocksdb_store(folder)), "store_locked") << "opened twice in one process";
  ASSERT_OK(write(**s, {put(table::users, "ann", "1")}));
}

TEST(file_lock, excludes_other_processes_until_its_descriptor_is_closed) {
  const temporary_folder dir;
  const auto lock = dir / "lock";
  const auto second_is_refused = [&] {
    return in_child([&] {
      const auto second = hold_lock(lock, "the keys");
      if (second) return 0;
      const auto& text = second.error().detail;
      const bool right = second.error() == errc::store_locked && text.find("the keys") != std::string::npos &&
                         text.find("process " + std::to_string(::getppid())) != std::string::npos;
      return right ? 1 : 2;
    });
  };
  auto held = hold_lock(lock, "the keys");
  ASSERT_OK(held);
  EXPECT_EQ(second_is_refused(), 1);
  held->close();
  EXPECT_EQ(second_is_refused(), 0);
  EXPECT_EQ(code(hold_lock(dir / "none" / "lock", "the keys")), "store_unavailable");
}

TEST(rocksdb_store, is_never_recreated_in_a_folder_with_files) {
  const temporary_folder dir;
  fs::create_directory(dir / "notes");
  set_content(dir / "notes/todo.txt", "milk");
  EXPECT_EQ(code(open_rocksdb_store(dir / "notes")), "store_damaged");
  EXPECT_EQ(content_of(dir / "notes/todo.txt"), "milk");
  EXPECT_FALSE(fs::exists(dir / "notes" / store_marker_name));

  fill(dir / "store");
  fill(dir / "store", "2");
  const auto saved = content_of(dir / "store/CURRENT");
  fs::remove(dir / "store/CURRENT");
  EXPECT_EQ(code(open_rocksdb_store(dir / "store")), "store_damaged");
  set_content(dir / "store/CURRENT", saved);
  auto again = open_rocksdb_store(dir / "store");
  ASSERT_OK(again) << "the refusal must not change the folder";
  EXPECT_EQ(read(**again, table::users, "ann"), "2");
}

TEST(rocksdb_store, is_refused_without_its_marker_or_with_a_foreign_one) {
  const temporary_folder dir;
  fill(dir / "store");
  const auto marker = dir / "store" / store_marker_name;
  auto newer = content_of(marker);
  newer[newer.find('2')] = '3';
  set_content(marker, newer);
  EXPECT_EQ(code(open_rocksdb_store(dir / "store")), "store_unavailable");
  set_content(marker, "something");
  EXPECT_EQ(code(open_rocksdb_store(dir / "store")), "store_damaged");
  set_content(marker, "");
  EXPECT_EQ(code(open_rocksdb_store(dir / "store")), "store_damaged");
  fs::remove(marker);
  EXPECT_EQ(code(open_rocksdb_store(dir / "store")), "store_damaged");
}

TEST(rocksdb_store, is_created_again_if_its_creation_was_interrupted) {
  const temporary_folder dir;
  fs::create_directory(dir / "store");
  set_content(dir / "store" / store_marker_name, "");
  fill(dir / "store");
  // The state after a crash between RocksDB's first manifest and its CURRENT.
  auto marker = content_of(dir / "store" / store_marker_name);
  set_content(dir / "store" / store_marker_name, marker.replace(marker.find("whole"), 5, "begun"));
  fs::remove(dir / "store/CURRENT");
  fs::remove(file_like(dir / "store", ".log"));
  fill(dir / "store");
  EXPECT_NE(content_of(dir / "store" / store_marker_name).find("whole"), std::string::npos);
}

TEST(rocksdb_store, cannot_be_created_below_a_file) {
  const temporary_folder dir;
  set_content(dir / "file", "x");
  EXPECT_EQ(code(open_rocksdb_store(dir / "file/store")), "store_unavailable");
  EXPECT_EQ(code(open_rocksdb_store(dir / "file")), "store_unavailable");
}

TEST(rocksdb_store, is_unavailable_on_a_read_only_disk) {
  const temporary_folder dir;
  const small_disk disk(dir / "disk", "size=8m");
  if (!disk.mounted()) GTEST_SKIP() << "this process may not mount a tmpfs";
  fill(dir / "disk/store");
  ASSERT_TRUE(disk.make_read_only());
  EXPECT_EQ(code(open_rocksdb_store(dir / "disk/store")), "store_unavailable");
  EXPECT_EQ(code(open_rocksdb_store(dir / "disk/other")), "store_unavailable");
}

TEST(rocksdb_store, is_unavailable_in_a_folder_without_write_access) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everywhere; see the read-only disk";
  const temporary_folder dir;
  fs::create_directory(dir / "shut");
  fs::permissions(dir / "shut", fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_EQ(code(open_rocksdb_store(dir / "shut/store")), "store_unavailable");
  fs::permissions(dir / "shut", fs::perms::owner_all);
}

TEST(rocksdb_store, survives_a_full_disk_and_writes_again_when_there_is_space) {
  const temporary_folder dir;
  const small_disk disk(dir / "disk", "size=16m");
  if (!disk.mounted()) GTEST_SKIP() << "this process may not mount a tmpfs";
  set_content(dir / "disk/ballast", std::string(10U << 20, 'x'));
  auto s = open_rocksdb_store(dir / "disk/store");
  ASSERT_OK(s);
  rows acknowledged;
  status last;
  for (int i = 0; i < 1000 && last; ++i) {
    const auto row = "row" + std::to_string(i);
    const std::string value(16U << 10, static_cast<char>('a' + i % 26));
    last = write(**s, {put(table::peers, row, value)});
    if (last) acknowledged.emplace(row, value);
  }
  EXPECT_EQ(code(last), "store_full");
  EXPECT_GT(acknowledged.size(), 50U);
  EXPECT_EQ(code(write(**s, {put(table::peers, "more", std::string(100'000, 'x'))})), "store_full");
  EXPECT_TRUE(read(**s, table::peers, "row7") == acknowledged["row7"]) << "reads must still work";

  fs::remove(dir / "disk/ballast");
  for (int i = 0; i < 6000 && !(*s)->health().writable; ++i) ::poll(nullptr, 0, 5);
  ASSERT_OK(write(**s, {put(table::peers, "after", "1")}));
  acknowledged.emplace("after", "1");
  for (int round = 0; round < 2; ++round) {
    for (const auto& [row, value] : acknowledged) EXPECT_TRUE(read(**s, table::peers, row) == value) << row;
    s->reset();
    s = open_rocksdb_store(dir / "disk/store");
    ASSERT_OK(s);
  }
}

TEST(rocksdb_store, reports_a_disk_too_full_to_create_it) {
  const temporary_folder dir;
  const small_disk disk(dir / "disk", "size=64k");
  if (!disk.mounted()) GTEST_SKIP() << "this process may not mount a tmpfs";
  set_content(dir / "disk/ballast", std::string(64U << 10, 'x'));
  EXPECT_EQ(code(open_rocksdb_store(dir / "disk/store")), "store_full");
  fs::remove(dir / "disk/ballast");
  fill(dir / "disk/store");
}

TEST(rocksdb_store, reports_damage_instead_of_repairing_it_silently) {
  const temporary_folder dir;
  const auto flip = [](const fs::path& file, std::size_t at) {
    auto content = content_of(file);
    ASSERT_LT(at, content.size());
    content[at] = static_cast<char>(content[at] ^ 0x55);
    set_content(file, content);
  };
  fill(dir / "manifest");
  flip(file_like(dir / "manifest", "MANIFEST"), 20);
  EXPECT_EQ(code(open_rocksdb_store(dir / "manifest")), "store_damaged");

  fill(dir / "gone");
  fs::remove(file_like(dir / "gone", "MANIFEST"));
  EXPECT_EQ(code(open_rocksdb_store(dir / "gone")), "store_damaged");

  {
    auto s = open_rocksdb_store(dir / "log");
    ASSERT_OK(s);
    for (int i = 0; i < 100; ++i)
      ASSERT_OK(write(**s, {put(table::users, "row" + std::to_string(i), std::string(100, 'x'))}));
  }
  flip(file_like(dir / "log", ".log"), 1000);
  EXPECT_EQ(code(open_rocksdb_store(dir / "log")), "store_damaged")
      << "acknowledged rows would be lost silently";
}

TEST(rocksdb_store, reports_a_damaged_table_when_it_is_read) {
  const temporary_folder dir;
  fill(dir / "store", std::string(2000, 'x'));
  // The second opening moves the log into a table file.
  EXPECT_OK(open_rocksdb_store(dir / "store"));
  const auto file = file_like(dir / "store", ".sst");
  auto content = content_of(file);
  content[500] = '?';
  set_content(file, content);
  auto s = open_rocksdb_store(dir / "store");
  ASSERT_OK(s);
  EXPECT_EQ(code((*s)->get(table::users, as_bytes("ann"))), "store_damaged");
  EXPECT_EQ(code((*s)->scan(table::users, {}, [](const stored_row&) { return true; })), "store_damaged");
}

/// Body of the process that the next test kills: writes pairs of rows from $CPNS_TEST_FIRST on, and writes the
/// number of each acknowledged pair to file descriptor 3. A separate program, since RocksDB's threads do not
/// survive fork.
TEST(rocksdb_store_victim, DISABLED_writes_until_it_is_killed) {
  const char* folder = std::getenv("CPNS_TEST_FOLDER");
  const char* first = std::getenv("CPNS_TEST_FIRST");
  if (folder == nullptr || first == nullptr) GTEST_SKIP() << "run by another test";
  auto s = open_rocksdb_store(folder);
  ASSERT_OK(s);
  for (int i = std::atoi(first);; ++i) {
    const auto number = std::to_string(i);
    ASSERT_OK(write(**s, {put(table::peers, number, "left " + number), put(table::users, number, "right")}));
    ASSERT_EQ(::write(3, &i, sizeof i), static_cast<ssize_t>(sizeof i));
  }
}

/// Starts the victim and kills it after `pairs` acknowledgements. Returns the last acknowledged number.
int last_acknowledged(const fs::path& folder, int first, int pairs) {
  int tube[2];
  if (::pipe2(tube, O_CLOEXEC) != 0) return -1;
  const auto self = fs::read_symlink("/proc/self/exe").string();
  ::setenv("CPNS_TEST_FOLDER", folder.c_str(), 1);
  ::setenv("CPNS_TEST_FIRST", std::to_string(first).c_str(), 1);
  const auto pid = ::fork();
  if (pid == 0) {
    if (tube[1] == 3)
      ::fcntl(3, F_SETFD, 0);
    else
      ::dup2(tube[1], 3);
    ::execl(self.c_str(), self.c_str(), "--gtest_also_run_disabled_tests", "--gtest_brief=1",
            "--gtest_filter=rocksdb_store_victim.*", nullptr);
    ::_exit(127);
  }
  ::close(tube[1]);
  int last = -1;
  for (int seen = 0, i = 0; seen < pairs && ::read(tube[0], &i, sizeof i) == sizeof i; ++seen) last = i;
  ::kill(pid, SIGKILL);
  for (int i = 0; ::read(tube[0], &i, sizeof i) == sizeof i;) last = i;
  ::close(tube[0]);
  int outcome = 0;
  ::waitpid(pid, &outcome, 0);
  EXPECT_TRUE(WIFSIGNALED(outcome)) << "the victim stopped by itself";
  return last;
}

TEST(rocksdb_store, keeps_every_acknowledged_row_when_it_is_killed) {
  const temporary_folder dir;
  const auto folder = dir / "store";
  int next = 0;
  for (int round = 0; round < 5; ++round) {
    const int last = last_acknowledged(folder, next, 40);
    ASSERT_GE(last, next + 39);
    auto s = open_rocksdb_store(folder);
    ASSERT_OK(s);
    const auto left = scan(**s, table::peers);
    const auto right = scan(**s, table::users);
    for (int i = 0; i <= last; ++i) EXPECT_EQ(left.count(std::to_string(i)), 1U) << i;
    EXPECT_EQ(left.size(), right.size()) << "half of a batch was written";
    // The pair after the last acknowledged one may be there: written, but not acknowledged.
    next = last + 2;
    ASSERT_OK(write(**s, {put(table::peers, std::to_string(last + 1), "filled"),
                          put(table::users, std::to_string(last + 1), "filled")}));
  }
}

}  // namespace
}  // namespace cpns::storage::testing
