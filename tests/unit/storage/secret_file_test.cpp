#include <sys/wait.h>
#include <unistd.h>

#include "storage/file.hpp"
#include "storage/secret_file.hpp"
#include "support.hpp"

namespace cpns::storage::testing {
namespace {

namespace fs = std::filesystem;

class sealed_files : public ::testing::Test {
 protected:
  sealed_files() : protector_(protector("kek")) {}
  std::unique_ptr<key_protector> protector(std::string_view name) {
    EXPECT_OK(create_key_file(dir_ / name, random_source()));
    return std::move(open_key_file(dir_ / name).value());
  }
  result<sealed_file> open(std::string_view name, std::string purpose = "test") {
    return sealed_file::open(dir_ / name, std::move(purpose), *protector_, random_source());
  }
  static std::string load(const sealed_file& f) {
    const auto got = f.load();
    if (!got) return "(error) " + std::string(name_of(got.error().code));
    return *got ? std::string(as_text((*got)->expose())) : "(none)";
  }
  temporary_folder dir_;
  std::unique_ptr<key_protector> protector_;
};

TEST_F(sealed_files, return_the_content_saved_last) {
  auto f = open("f");
  ASSERT_OK(f);
  EXPECT_EQ(load(*f), "(none)");
  ASSERT_OK(f->save(as_bytes("canary one")));
  EXPECT_EQ(load(*f), "canary one");
  ASSERT_OK(f->save(as_bytes("two")));
  EXPECT_EQ(load(*open("f")), "two");
  ASSERT_OK(f->save({}));
  EXPECT_EQ(load(*open("f")), "");
  EXPECT_EQ(fs::status(dir_ / "f").permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_FALSE(fs::exists(dir_ / "f.new"));
}

TEST_F(sealed_files, hide_their_content) {
  auto f = open("f");
  ASSERT_OK(f);
  ASSERT_OK(f->save(as_bytes("canary")));
  const auto raw = content_of(dir_ / "f");
  EXPECT_EQ(raw.find("canary"), std::string::npos);
  ASSERT_OK(f->save(as_bytes("canary")));
  EXPECT_NE(content_of(dir_ / "f"), raw);
}

TEST_F(sealed_files, open_only_for_their_own_purpose_and_key) {
  auto f = open("f");
  ASSERT_OK(f);
  ASSERT_OK(f->save(as_bytes("x")));
  EXPECT_EQ(code(open("f", "other")), "store_key");
  EXPECT_EQ(code(sealed_file::open(dir_ / "f", "test", *protector("kek2"), random_source())), "store_key");
  const auto key = random_source().draw_secret<32>();
  EXPECT_EQ(load(sealed_file::with_data_key(dir_ / "f", "test", key, random_source())),
            "(error) store_sealed");
}

TEST_F(sealed_files, cannot_be_swapped_even_if_they_share_a_data_key) {
  const auto key = open_data_key(dir_ / "data_key", "pne", *protector_, random_source());
  ASSERT_OK(key);
  const auto again = open_data_key(dir_ / "data_key", "pne", *protector_, random_source());
  ASSERT_OK(again);
  EXPECT_TRUE(*key == *again);
  auto a = sealed_file::with_data_key(dir_ / "a", "pne a", *key, random_source());
  auto b_file = sealed_file::with_data_key(dir_ / "b", "pne b", *again, random_source());
  ASSERT_OK(a.save(as_bytes("key of a")));
  ASSERT_OK(b_file.save(as_bytes("key of b")));
  EXPECT_EQ(load(sealed_file::with_data_key(dir_ / "a", "pne a", *again, random_source())), "key of a");
  fs::rename(dir_ / "a", dir_ / "b");
  EXPECT_EQ(load(b_file), "(error) store_sealed");
  EXPECT_EQ(code(open("b", "pne a")), "store_key");
}

TEST_F(sealed_files, refuse_every_changed_byte_and_every_cut) {
  const auto key = random_source().draw_secret<32>();
  auto f = sealed_file::with_data_key(dir_ / "f", "test", key, random_source());
  ASSERT_OK(f.save(as_bytes("content")));
  const auto raw = content_of(dir_ / "f");
  for (std::size_t i = 0; i < raw.size(); ++i) {
    auto changed = raw;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    set_content(dir_ / "f", changed);
    EXPECT_FALSE(f.load()) << i;
    set_content(dir_ / "f", raw.substr(0, i));
    EXPECT_EQ(code(f.load()), "store_damaged") << i;
  }
  set_content(dir_ / "f", raw + "x");
  EXPECT_EQ(code(f.load()), "store_damaged");
  set_content(dir_ / "f", std::string(1U << 20, 'x'));
  EXPECT_EQ(code(f.load()), "store_damaged");
}

TEST_F(sealed_files, keep_the_old_content_when_saving_fails) {
  const auto key = random_source().draw_secret<32>();
  auto f = sealed_file::with_data_key(dir_ / "f", "test", key, random_source());
  ASSERT_OK(f.save(as_bytes("old")));
  EXPECT_EQ(code(f.save(bytes(max_sealed_file_size + 1))), "store_write_failed");
  fs::create_directories(dir_ / "f.new/x");
  EXPECT_EQ(code(f.save(as_bytes("new"))), "store_unavailable");
  EXPECT_EQ(load(f), "old");
  auto nowhere = sealed_file::with_data_key(dir_ / "missing/f", "test", key, random_source());
  EXPECT_EQ(code(nowhere.save(as_bytes("x"))), "store_unavailable");
}

/// Replaces the file in a process that exits at the step `last`.
void replace_and_die_at(const fs::path& path, std::string_view content, file_step last) {
  const auto pid = ::fork();
  if (pid == 0) {
    const auto done = replace_file(path, as_bytes(content), if_exists::replace, [last](file_step now) {
      if (now == last) ::_exit(0);
    });
    ::_exit(done ? 2 : 3);
  }
  int outcome = 0;
  ::waitpid(pid, &outcome, 0);
  ASSERT_TRUE(WIFEXITED(outcome) && WEXITSTATUS(outcome) == 0) << "the step was not reached";
}

TEST_F(sealed_files, hold_the_old_or_the_new_content_after_a_crash_at_any_step) {
  const auto key = random_source().draw_secret<32>();
  const auto path = dir_ / "f";
  auto f = sealed_file::with_data_key(path, "test", key, random_source());
  ASSERT_OK(f.save(as_bytes("new")));
  const auto new_raw = content_of(path);
  for (const auto step : {file_step::opened, file_step::half_written, file_step::written, file_step::synced,
                          file_step::renamed, file_step::folder_synced}) {
    ASSERT_OK(f.save(as_bytes("old")));
    replace_and_die_at(path, new_raw, step);
    EXPECT_EQ(load(f), step < file_step::renamed ? "old" : "new") << static_cast<int>(step);
    ASSERT_OK(f.save(as_bytes("next")));
    EXPECT_EQ(load(f), "next") << "a leftover of step " << static_cast<int>(step) << " blocks the next save";
  }
}

}  // namespace
}  // namespace cpns::storage::testing
