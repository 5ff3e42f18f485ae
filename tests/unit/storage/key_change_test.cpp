// Another key-encryption key while the store, or the key files, are in use: concurrent writes, a crash after each step,
// and a start with the new key. Each store is opened in a process of its own.

#include "storage/key_change.hpp"

#include <algorithm>
#include <atomic>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "storage/data_key.hpp"
#include "storage/group_commit.hpp"
#include "storage/memory_store.hpp"
#include "storage/rocksdb_store.hpp"
#include "storage/secret_file.hpp"
#include "support.hpp"
#include "tests/support/in_process.hpp"

namespace cpns::storage::testing {
namespace {

namespace fs = std::filesystem;

using test::in_process;

std::string row_of(int n) { return "row " + std::to_string(n); }

/// Writers that use the store through its group committer, as the actors of a role do. Each number that is durable
/// goes to `told`.
class busy_writers {
 public:
  busy_writers(sealed_store& store, int told)
      : committer_(std::make_unique<group_committer>(store)), told_(told) {
    for (int t = 0; t < 2; ++t) threads_.emplace_back([this] { run(); });
  }
  ~busy_writers() {
    stopping_ = true;
    for (auto& t : threads_) t.join();
    committer_.reset();
  }
  busy_writers(const busy_writers&) = delete;
  busy_writers& operator=(const busy_writers&) = delete;

  void wait_for(int writes) const {
    while (durable_ < writes) std::this_thread::yield();
  }
  [[nodiscard]] int durable() const { return durable_; }
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  void run() {
    while (!stopping_) {
      const int n = next_++;
      std::atomic<bool> done{false};
      committer_->submit({seal(table::users, row_of(n), std::to_string(n))},
                         [this, n, &done](const status& s) {
                           if (!s || ::write(told_, &n, sizeof n) != sizeof n)
                             failed_ = true;
                           else
                             ++durable_;
                           done = true;
                         });
      while (!done) std::this_thread::yield();
    }
  }
  std::unique_ptr<group_committer> committer_;
  const int told_;
  std::atomic<int> next_{0}, durable_{0};
  std::atomic<bool> stopping_{false}, failed_{false};
  std::vector<std::thread> threads_;
};

class key_of_a_running_store : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_OK(create_key_file(kek(), random_source())); }
  [[nodiscard]] fs::path kek() const { return dir_ / "server.kek"; }
  [[nodiscard]] key_source source() const { return {protector_kind::file, kek()}; }

  /// A role at work, whose key is changed meanwhile; at `last` the process dies. 0 done, 1 failed, 7 dead.
  int work(new_key wanted, std::optional<key_step> last = {}) {
    int told[2];
    EXPECT_EQ(::pipe(told), 0);
    const int code = in_process([&] {
      ::close(told[0]);
      const auto under = open_rocksdb_store(dir_ / "store");
      const auto by = open_protector(source());
      if (!under || !by) return 2;
      const auto sealed = sealed_store::open(**under, **by, random_source());
      if (!sealed) return 3;
      key_changer keys(source(), {(*sealed)->data_key("store")}, "store", "server");
      busy_writers busy(**sealed, told[1]);
      busy.wait_for(5);
      wanted.at = [&](key_step now) {
        busy.wait_for(busy.durable() + 3);  // writes go on at each step
        if (now == last) ::_exit(7);
      };
      const auto done = keys.change(wanted);
      busy.wait_for(busy.durable() + 5);
      set_content(dir_ / "said", done ? "" : done.error().message());
      return busy.failed() ? 4 : done ? 0 : 1;
    });
    ::close(told[1]);
    for (int n = 0; ::read(told[0], &n, sizeof n) == sizeof n;) durable_.push_back(n);
    ::close(told[0]);
    return code;
  }
  /// The command on the stopped role.
  int repeat(const new_key& wanted) {
    return in_process([&] {
      const auto under = open_rocksdb_store(dir_ / "store");
      if (!under) return 2;
      key_changer keys(source(), {data_key_of(**under, "store")}, "store", "server");
      const auto done = keys.change(wanted);
      set_content(dir_ / "said", done ? "" : done.error().message());
      return done ? 0 : 1;
    });
  }
  [[nodiscard]] std::string said() const { return content_of(dir_ / "said"); }
  /// 0: the key in `file` opens the store, and each row that was durable is there; 50: it opens nothing.
  int opened_with(const fs::path& file, protector_kind kind = protector_kind::file) {
    return in_process([&] {
      const auto under = open_rocksdb_store(dir_ / "store");
      const auto by = open_protector({kind, file});
      if (!under || !by) return 2;
      const auto sealed = sealed_store::open(**under, **by, random_source());
      if (!sealed) return sealed.error() == errc::store_key ? 50 : 3;
      return std::all_of(durable_.begin(), durable_.end(),
                         [&](int n) { return read(**sealed, table::users, row_of(n)) == std::to_string(n); })
                 ? 0
                 : 60;
    });
  }

  temporary_folder dir_;
  std::vector<int> durable_;
};

TEST_F(key_of_a_running_store, changes_to_another_file_while_rows_are_written) {
  new_key wanted;
  wanted.new_file = dir_ / "next.kek";
  ASSERT_EQ(work(wanted), 0) << said();
  EXPECT_GE(durable_.size(), 10U);
  EXPECT_EQ(opened_with(dir_ / "next.kek"), 0);
  EXPECT_EQ(opened_with(kek()), 50) << "the old key opens nothing";
}

TEST_F(key_of_a_running_store, changes_to_a_passphrase_and_back_in_one_process) {
  const auto words = dir_ / "words";
  set_content(words, "correct horse\n");
  ::chmod(words.c_str(), 0600);
  EXPECT_EQ(in_process([&] {
              const auto under = open_rocksdb_store(dir_ / "store");
              const auto by = open_protector(source());
              const auto sealed = sealed_store::open(**under, **by, random_source());
              key_changer keys(source(), {(*sealed)->data_key("store")}, "store", "server");
              new_key first, second;
              first.new_passphrase_file = words;
              const auto one = keys.change(first);
              if (!one || keys.current().kind != protector_kind::passphrase) return 1;
              if (one->old_key != kek() || one->keys.rewrapped != 1) return 2;
              second.new_file = dir_ / "next.kek";
              const auto two = keys.change(second);  // from the passphrase, although the caller named a file
              if (!two || keys.current().file != dir_ / "next.kek") return 3;
              second = {};
              second.in_place = true;
              return keys.change(second) && keys.current().file == dir_ / "next.kek" ? 0 : 4;
            }),
            0);
  EXPECT_EQ(opened_with(dir_ / "next.kek"), 0);
  EXPECT_EQ(opened_with(dir_ / "next.kek.old"), 50);
}

TEST_F(key_of_a_running_store, in_place_survives_a_crash_after_each_step) {
  new_key wanted;
  wanted.in_place = true;
  for (const auto step :
       {key_step::key_made, key_step::data_key_wrapped, key_step::old_key_kept, key_step::renamed}) {
    const auto old = content_of(kek());
    ASSERT_EQ(work(wanted, step), 7) << static_cast<int>(step);
    const bool wrapped = step != key_step::key_made, renamed = step == key_step::renamed;
    EXPECT_EQ(opened_with(kek()), wrapped && !renamed ? 50 : 0) << static_cast<int>(step);
    if (!renamed) {
      EXPECT_EQ(opened_with(next_key_file(kek())), wrapped ? 0 : 50);
      ASSERT_EQ(repeat(wanted), 0) << said();
    }
    EXPECT_EQ(opened_with(kek()), 0);
    const fs::path kept = kek().string() + ".old";
    EXPECT_EQ(content_of(kept), old);
    EXPECT_EQ(opened_with(kept), 50) << "the old key opens nothing";
    EXPECT_FALSE(fs::exists(next_key_file(kek())));
    fs::remove(kept);
  }
  EXPECT_GE(durable_.size(), 20U);
}

TEST_F(key_of_a_running_store, to_another_file_survives_a_crash_after_each_step) {
  for (const auto step : {key_step::key_made, key_step::data_key_wrapped}) {
    new_key wanted;
    wanted.new_file = dir_ / ("next" + std::to_string(static_cast<int>(step)));
    ASSERT_EQ(work(wanted, step), 7);
    const bool wrapped = step == key_step::data_key_wrapped;
    EXPECT_EQ(opened_with(kek()), wrapped ? 50 : 0);
    EXPECT_EQ(opened_with(wanted.new_file), wrapped ? 0 : 50);
    ASSERT_EQ(repeat(wanted), 0) << said();
    EXPECT_EQ(opened_with(wanted.new_file), 0);
    fs::rename(wanted.new_file, kek());
  }
}

TEST_F(key_of_a_running_store, is_changed_by_one_caller_at_a_time) {
  memory_store under;
  const auto by = open_protector(source()).value().release();
  const std::unique_ptr<key_protector> owner{by};
  const auto sealed = sealed_store::open(under, *by, random_source());
  ASSERT_OK(sealed);
  key_changer keys(source(), {(*sealed)->data_key("store")}, "store", "server");
  new_key outer, inner;
  outer.new_file = dir_ / "outer";
  inner.new_file = dir_ / "inner";
  result<key_change> second = fail(errc::internal);
  outer.at = [&](key_step) { std::thread([&] { second = keys.change(inner); }).join(); };
  ASSERT_OK(keys.change(outer));
  EXPECT_EQ(code(second), "state_conflict");
  EXPECT_FALSE(fs::exists(dir_ / "inner"));
  EXPECT_EQ(keys.current().file, dir_ / "outer");
}

TEST_F(key_of_a_running_store, refuses_what_it_cannot_do_and_changes_nothing) {
  memory_store under;
  const auto by = open_protector(source());
  ASSERT_OK(by);
  const auto sealed = sealed_store::open(under, **by, random_source());
  ASSERT_OK(sealed);
  const auto before = scan(under, table::meta);
  key_changer keys(source(), {(*sealed)->data_key("store")}, "store", "server");
  EXPECT_EQ(code(keys.change({})), "config_usage");
  new_key two;
  two.new_file = dir_ / "a";
  two.in_place = true;
  EXPECT_EQ(code(keys.change(two)), "config_usage");
  new_key same;
  same.new_file = kek();
  EXPECT_EQ(code(keys.change(same)), "state_conflict");
  new_key bad;
  bad.new_file = dir_ / "bad";
  set_content(bad.new_file, "0123\n");
  ::chmod(bad.new_file.c_str(), 0600);
  EXPECT_EQ(code(keys.change(bad)), "store_key");
  key_changer none(source(), {}, "", "server");
  new_key in_place;
  in_place.in_place = true;
  EXPECT_EQ(code(none.change(in_place)), "config_usage") << "a store in memory";
  EXPECT_EQ(scan(under, table::meta), before);
  EXPECT_EQ(keys.current().file, kek());
}

/// The key files of two devices of a PNE, in use; the second has saved nothing yet.
class key_files_in_use : public key_of_a_running_store {
 protected:
  result<sealed_file> open(const char* name, const fs::path& key) {
    const auto by = open_protector({protector_kind::file, key});
    EXPECT_OK(by);
    return sealed_file::open(dir_ / name, name, **by, random_source());
  }
  static std::string content(const sealed_file& f) {
    const auto got = f.load();
    return !got ? "(error)" : !*got ? "(none)" : std::string(as_text((*got)->expose()));
  }
};

TEST_F(key_files_in_use, keep_the_new_wrapping_in_later_saves_of_all_copies) {
  auto a = open("a", kek()).value();
  auto b_file = open("b", kek()).value();
  ASSERT_OK(a.save(as_bytes("1")));
  auto copy = a;
  key_changer keys(source(), {a.place(), b_file.place()}, "pne", "pne");
  new_key wanted;
  wanted.in_place = true;
  const auto done = keys.change(wanted);
  ASSERT_OK(done);
  EXPECT_EQ(done->keys.rewrapped, 2U) << "also the one that is only in memory";
  EXPECT_EQ(content(a), "1");
  ASSERT_OK(a.save(as_bytes("2")));
  ASSERT_OK(b_file.save(as_bytes("3")));
  EXPECT_EQ(content(open("a", kek()).value()), "2");
  ASSERT_OK(copy.save(as_bytes("4")));
  EXPECT_EQ(content(open("a", kek()).value()), "4");
  EXPECT_EQ(content(open("b", kek()).value()), "3");
  for (const auto* name : {"a", "b"}) EXPECT_EQ(code(open(name, kek().string() + ".old")), "store_key");
}

TEST_F(key_files_in_use, survive_saves_at_the_same_time) {
  auto a = open("a", kek()).value();
  ASSERT_OK(a.save(as_bytes("0")));
  std::atomic<bool> stop{false}, failed{false};
  std::atomic<int> saves{0};
  std::thread device([&, file = a]() mutable {
    while (!stop) {
      if (!file.save(as_bytes(std::to_string(saves + 1)))) failed = true;
      ++saves;
    }
  });
  key_changer keys(source(), {a.place()}, "pne", "pne");
  auto last = kek();
  for (int i = 0; i < 5; ++i) {
    for (const int from = saves; saves < from + 2;) std::this_thread::yield();
    new_key wanted;
    wanted.new_file = last = dir_ / ("key" + std::to_string(i));
    EXPECT_OK(keys.change(wanted));
  }
  for (const int from = saves; saves < from + 2;) std::this_thread::yield();
  stop = true;
  device.join();
  EXPECT_FALSE(failed);
  EXPECT_EQ(content(open("a", last).value()), std::to_string(saves));
  EXPECT_EQ(code(open("a", kek())), "store_key");
}

}  // namespace
}  // namespace cpns::storage::testing
