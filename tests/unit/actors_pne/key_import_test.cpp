// Key files of an earlier version on their way into the store: each device goes on with its newest key, whenever the
// process ends.

#include "actors/pne/key_import.hpp"

#include <algorithm>
#include <fstream>
#include <map>

#include "actors/pne/device_keys.hpp"
#include "tests/unit/actors_pne/slots_harness.hpp"
#include "tests/unit/server/captured_log.hpp"

namespace cpns::pne_actor_tests {
namespace {

namespace fs = std::filesystem;
using actors::import_step;

/// More than fit into one group.
constexpr int device_count = 300;

class key_import : public slots_test {
 protected:
  [[nodiscard]] fs::path path(int n) const { return dir_ / actors::key_file_name(device(n)); }
  storage::sealed_file file(int n) {
    return storage::sealed_file::with_data_key(path(n), actors::key_file_purpose(device(n)), data_key_,
                                               random_);
  }
  void write_file(int n, std::uint16_t index) { ASSERT_TRUE(file(n).save(encode(record(index)).expose())); }
  /// The same files each time.
  void write_files() {
    for (int n = 0; n < device_count; ++n) {
      const auto kept = files_ / path(n).filename().string();
      if (!fs::exists(kept)) {
        write_file(n, static_cast<std::uint16_t>(n));
        fs::copy_file(path(n), kept);
      }
      fs::copy_file(kept, path(n), fs::copy_options::overwrite_existing);
    }
  }
  /// What a start does.
  std::vector<actors::device_slots> devices(int count = device_count) {
    std::vector<actors::device_slots> out;
    for (int n = 0; n < count; ++n) {
      out.push_back({device(n), slots_->load(device(n))});
      if (fs::exists(path(n))) out.back().file = file(n);
    }
    return out;
  }
  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(
        std::count_if(fs::directory_iterator{dir_.path()}, fs::directory_iterator{},
                      [](const auto& e) { return e.path().extension() == ".key"; }));
  }
  /// Each device has the key of its file, by its row or by its file.
  void no_key_is_lost() {
    for (int n = 0; n < device_count; ++n) {
      if (const auto row = stored(n); row != -1) {
        EXPECT_EQ(row, n);
        continue;
      }
      const auto kept = actors::read_key_file(file(n));
      ASSERT_TRUE(kept && *kept) << n;
      EXPECT_EQ((*kept)->highest()->which.index(), n);
    }
  }
  void imports_all_that_is_left() {
    open();
    auto all = devices();
    ASSERT_TRUE(actors::import_key_files(*slots_, all));
    for (int n = 0; n < device_count; ++n) {
      ASSERT_TRUE(all[static_cast<std::size_t>(n)].stored->record) << n;
      EXPECT_EQ(stored(n), n);
    }
    EXPECT_EQ(files(), 0u);
  }

  test::temporary_folder files_;
  server_tests::captured_log log_;
};

struct process_ends {};

TEST_F(key_import, moves_all_files_into_the_store) {
  write_files();
  std::ofstream(path(3).string() + ".new") << "an interrupted replacement";
  imports_all_that_is_left();
  EXPECT_FALSE(fs::exists(path(3).string() + ".new"));
  EXPECT_NE(log_.text().find("the keys of 300 devices were moved"), std::string::npos);
}

TEST_F(key_import, goes_on_after_an_end_at_each_step_and_loses_no_key) {
  std::size_t steps = 0;
  write_files();
  {
    auto all = devices();
    ASSERT_TRUE(actors::import_key_files(*slots_, all, [&steps](import_step) { ++steps; }));
  }
  ASSERT_EQ(steps, device_count + 4u) << "two groups, each durable and flushed, and one removal per device";
  for (const std::size_t end : {1, 2, 3, 100, 256, 257, 258, 259, 260, 303, 304}) {
    ASSERT_LE(end, steps);
    for (const auto t : storage::all_tables) ASSERT_TRUE(clear(t));
    open();
    write_files();
    auto all = devices();
    std::size_t at = 0;
    EXPECT_THROW((void)actors::import_key_files(*slots_, all,
                                                [&](import_step) {
                                                  if (++at == end) throw process_ends{};
                                                }),
                 process_ends);
    open();
    no_key_is_lost();
    imports_all_that_is_left();
    if (HasFailure()) FAIL() << "after an end at step " << end;
  }
}

TEST_F(key_import, stops_when_a_write_fails_and_removes_no_file_whose_row_is_not_durable) {
  for (const auto point : {storage::fault_point::before_durable, storage::fault_point::after_durable,
                           storage::fault_point::turns_up_later})
    for (const std::uint64_t n : {1u, 2u}) {
      for (const auto t : storage::all_tables) ASSERT_TRUE(clear(t));
      open();
      write_files();
      auto all = devices();
      disk_.fail_write(disk_.writes() + n, point, errc::store_full);
      const auto done = actors::import_key_files(*slots_, all);
      ASSERT_FALSE(done);
      EXPECT_EQ(done.error().code, errc::store_full);
      EXPECT_EQ(files(), n == 1 ? 300u : 300u - 256u);
      no_key_is_lost();
      disk_.repair();
      imports_all_that_is_left();
    }
}

TEST_F(key_import, never_uses_an_old_file_that_was_put_back) {
  write_file(0, 3);
  const auto old = path(0).string() + ".backup";
  fs::copy_file(path(0), old);
  auto all = devices(1);
  ASSERT_TRUE(actors::import_key_files(*slots_, all));
  ASSERT_TRUE(save(0, record(8)));
  fs::copy_file(old, path(0));
  open();
  auto again = devices(1);
  ASSERT_TRUE(actors::import_key_files(*slots_, again));
  EXPECT_EQ(again[0].stored->record->highest()->which, (epoch{1, 8}));
  EXPECT_FALSE(again[0].file);
  EXPECT_EQ(stored(0), 8);
  EXPECT_TRUE(fs::exists(path(0))) << "a file that somebody put there is not removed";
  const auto text = log_.text();
  EXPECT_NE(text.find("1 key files are not used, such as " + path(0).string()), std::string::npos) << text;
}

TEST_F(key_import, does_not_use_a_file_in_place_of_a_damaged_row) {
  ASSERT_TRUE(save(0, record(8)));
  write_file(0, 3);
  ASSERT_TRUE(memory_.scan(storage::table::peers, {}, [this](const storage::stored_row& r) {
    auto value = r.value;
    value.back() ^= 1;
    EXPECT_TRUE(memory_.write_one({{storage::table::peers, r.row, r.version, std::move(value)}}));
    return false;
  }));
  auto all = devices(1);
  ASSERT_TRUE(actors::import_key_files(*slots_, all));
  ASSERT_FALSE(all[0].stored);
  EXPECT_EQ(all[0].stored.error().code, errc::store_sealed);
  actors::key_row row(*slots_, device(0), std::move(all[0].file));
  EXPECT_FALSE(row.load());
  EXPECT_FALSE(row.load());
  EXPECT_TRUE(fs::exists(path(0)));
  EXPECT_EQ(log_.text().find("are not used"), std::string::npos) << "the row may not exist";
}

TEST_F(key_import, keeps_a_file_whose_row_could_not_be_read_until_the_store_answers) {
  write_file(0, 3);
  disk_.fail_reads(errc::store_unavailable);
  auto all = devices(1);
  ASSERT_TRUE(actors::import_key_files(*slots_, all));
  ASSERT_FALSE(all[0].stored);
  actors::key_row row(*slots_, device(0), std::move(all[0].file));
  EXPECT_FALSE(row.load());
  EXPECT_FALSE(row.load());
  disk_.repair();
  const auto read = row.load();
  ASSERT_TRUE(read) << read.error().message();
  ASSERT_TRUE(read->current) << "an empty record here is a lost key";
  EXPECT_EQ(read->highest()->which, (epoch{1, 3}));
  EXPECT_EQ(stored(0), 3);
  EXPECT_FALSE(fs::exists(path(0)));
}

TEST_F(key_import, keeps_a_damaged_file_when_a_later_read_of_its_row_fails) {
  write_file(0, 3);
  const auto whole = path(0).string() + ".backup";
  fs::copy_file(path(0), whole);
  std::ofstream(path(0), std::ios::trunc) << "something else";
  auto all = devices(1);
  ASSERT_TRUE(actors::import_key_files(*slots_, all));
  actors::key_row row(*slots_, device(0), std::move(all[0].file));
  disk_.fail_reads(errc::store_unavailable);
  EXPECT_FALSE(row.load());
  disk_.repair();
  EXPECT_FALSE(row.load()) << "the file is damaged still";
  fs::copy_file(whole, path(0), fs::copy_options::overwrite_existing);
  const auto restored = row.load();
  ASSERT_TRUE(restored) << restored.error().message();
  ASSERT_TRUE(restored->current);
  EXPECT_EQ(restored->highest()->which, (epoch{1, 3}));
}

TEST_F(key_import, a_damaged_file_keeps_only_its_device_and_is_read_when_it_is_restored) {
  write_file(0, 3);
  write_file(1, 4);
  const auto whole = path(0).string() + ".backup";
  fs::copy_file(path(0), whole);
  std::ofstream(path(0), std::ios::trunc) << "something else";
  auto all = devices(2);
  ASSERT_TRUE(actors::import_key_files(*slots_, all));
  ASSERT_FALSE(all[0].stored);
  EXPECT_NE(all[0].stored.error().detail.find("is not a sealed file"), std::string::npos);
  EXPECT_EQ(stored(1), 4);
  actors::key_row row(*slots_, device(0), std::move(all[0].file));
  EXPECT_FALSE(row.load());
  fs::copy_file(whole, path(0), fs::copy_options::overwrite_existing);
  const auto restored = row.load();
  ASSERT_TRUE(restored) << restored.error().message();
  EXPECT_EQ(restored->highest()->which, (epoch{1, 3}));
  EXPECT_EQ(stored(0), 3);
  EXPECT_FALSE(fs::exists(path(0)));
}

TEST_F(key_import, names_a_file_that_cannot_be_removed) {
  write_file(0, 3);
  auto all = devices(1);
  fs::create_directories(path(0).string() + ".new/in the way");
  const auto done = actors::import_key_files(*slots_, all);
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().detail.find(path(0).string() + ".new"), std::string::npos) << done.error().detail;
  EXPECT_EQ(stored(0), 3);
  fs::remove_all(path(0).string() + ".new");
  auto again = devices(1);
  ASSERT_TRUE(actors::import_key_files(*slots_, again));
  EXPECT_EQ(files(), 0u);
}

}  // namespace
}  // namespace cpns::pne_actor_tests
