// A store that is opened for a check: it shows its rows, and nothing in its folder changes.

#include <map>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/file.hpp"
#include "storage/rocksdb_store.hpp"
#include "support.hpp"

namespace cpns::storage::testing {
namespace {

namespace fs = std::filesystem;

std::map<std::string, std::string> files_of(const fs::path& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::directory_iterator(folder))
    out.emplace(entry.path().filename(),
                content_of(entry.path()) + "@" +
                    std::to_string(entry.last_write_time().time_since_epoch().count()));
  return out;
}

TEST(store_for_reading, shows_the_rows_and_changes_nothing) {
  const temporary_folder dir;
  const auto folder = dir / "s";
  {
    const auto s = open_rocksdb_store(folder);
    ASSERT_OK(s);
    ASSERT_OK(write(
        **s, {put(table::users, "ann", "1"), put(table::users, "bob", "2"), put(table::meta, "x", "3")}));
  }
  const auto before = files_of(folder);
  {
    const auto s = open_rocksdb_store_for_reading(folder);
    ASSERT_OK(s);
    EXPECT_EQ(read(**s, table::users, "ann"), "1");
    EXPECT_EQ(read(**s, table::users, "eve"), "(none)");
    EXPECT_EQ(scan(**s, table::users), (rows{{"ann", "1"}, {"bob", "2"}}));
    EXPECT_EQ(code(write(**s, {put(table::users, "eve", "4")})), "store_unavailable");
  }
  EXPECT_EQ(files_of(folder), before);
}

TEST(store_for_reading, distinguishes_no_store_from_a_damaged_one) {
  const temporary_folder dir;
  EXPECT_EQ(code(open_rocksdb_store_for_reading(dir / "missing")), "state_unknown");
  EXPECT_FALSE(fs::exists(dir / "missing"));
  fs::create_directory(dir / "empty");
  EXPECT_EQ(code(open_rocksdb_store_for_reading(dir / "empty")), "state_unknown");
  set_content(dir / "file", "x");
  EXPECT_EQ(code(open_rocksdb_store_for_reading(dir / "file")), "store_unavailable");
  fs::create_directory(dir / "notes");
  set_content(dir / "notes/todo", "milk");
  EXPECT_EQ(code(open_rocksdb_store_for_reading(dir / "notes")), "store_damaged");
  const auto folder = dir / "s";
  ASSERT_OK(open_rocksdb_store(folder));
  ASSERT_OK(open_rocksdb_store_for_reading(folder));
  set_content(folder / store_marker_name, "cpns store, schema 9, whole \n");
  EXPECT_EQ(code(open_rocksdb_store_for_reading(folder)), "store_unavailable") << "of a newer version";
  set_content(folder / store_marker_name, "");
  fs::remove(folder / "CURRENT");
  EXPECT_EQ(code(open_rocksdb_store_for_reading(folder)), "state_unknown") << "its creation was interrupted";
  EXPECT_EQ(content_of(folder / store_marker_name), "");
  set_content(folder / store_marker_name, "cpns store, schema 1, whole \n");
  EXPECT_EQ(code(open_rocksdb_store_for_reading(folder)), "store_damaged");
}

TEST(lock_holder, names_the_process_and_takes_no_lock) {
  const temporary_folder dir;
  const auto file = dir / "lock";
  EXPECT_FALSE(lock_holder(file)) << "no such file";
  set_content(file, "");
  EXPECT_FALSE(lock_holder(file));
  int told[2];
  ASSERT_EQ(::pipe(told), 0);
  const auto holder = ::fork();
  if (holder == 0) {
    const auto held = hold_lock(file, "it");
    static_cast<void>(::write(told[1], held ? "1" : "0", 1));
    ::pause();
  }
  char held = 0;
  ASSERT_EQ(::read(told[0], &held, 1), 1);
  EXPECT_EQ(held, '1');
  EXPECT_EQ(lock_holder(file), holder);
  EXPECT_EQ(lock_holder(file), holder) << "asking again finds it still locked";
  ::kill(holder, SIGKILL);
  ::waitpid(holder, nullptr, 0);
  EXPECT_FALSE(lock_holder(file));
  EXPECT_OK(hold_lock(file, "it"));
  ::close(told[0]);
  ::close(told[1]);
}

}  // namespace
}  // namespace cpns::storage::testing
