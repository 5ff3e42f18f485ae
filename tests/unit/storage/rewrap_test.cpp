// Another key-encryption key: the rows and the files stay, only the new key opens them, and a call that was
// interrupted is repeated.

#include "storage/rewrap.hpp"

#include "storage/data_key.hpp"
#include "storage/faulty_store.hpp"
#include "storage/memory_store.hpp"
#include "storage/secret_file.hpp"
#include "support.hpp"

namespace cpns::storage::testing {
namespace {

class rewrapped : public ::testing::Test {
 protected:
  std::unique_ptr<key_protector> protector(std::string_view name) {
    EXPECT_OK(create_key_file(dir_ / name, random_source()));
    return std::move(open_key_file(dir_ / name).value());
  }
  static std::unique_ptr<key_protector> words(std::string_view text) {
    return std::move(make_passphrase_protector(secret_bytes::from_text(text)).value());
  }
  /// Three files of one PNE: the shared data key, and two key files with data keys of their own.
  std::vector<key_place> files() {
    return {data_key_file_place(dir_ / "data.key", "shared"), sealed_file_place(dir_ / "a", "a"),
            sealed_file_place(dir_ / "b", "b")};
  }
  void make_files() {
    ASSERT_OK(open_data_key(dir_ / "data.key", "shared", *old_, random_source()));
    for (const auto* name : {"a", "b"}) {
      auto f = sealed_file::open(dir_ / name, name, *old_, random_source());
      ASSERT_OK(f);
      ASSERT_OK(f->save(as_bytes(std::string("content of ") + name)));
    }
  }
  /// For each of the files: "old" or "new" by the protector that opens it, or "neither".
  std::string opened_by() {
    std::string out;
    for (const auto& place : files()) {
      const auto wrapped = place.read().value();
      out += out.empty() ? "" : " ";
      out += old_->unwrap(*wrapped, place.purpose)    ? "old"
             : next_->unwrap(*wrapped, place.purpose) ? "new"
                                                      : "neither";
    }
    return out;
  }
  std::string content(const char* name, const key_protector& by) {
    const auto f = sealed_file::open(dir_ / name, name, by, random_source());
    if (!f) return "(error) " + std::string(name_of(f.error().code));
    return std::string(as_text((*f->load())->expose()));
  }

  temporary_folder dir_;
  std::unique_ptr<key_protector> old_ = protector("kek"), next_ = protector("next");
};

TEST_F(rewrapped, stores_keep_their_rows_and_open_only_with_the_new_key) {
  memory_store under;
  ASSERT_OK((*sealed_store::open(under, *old_, random_source()))->write({seal(table::users, "ann", "1")}));
  const auto before = scan(under, table::users);
  const auto done = rewrap_keys({data_key_of(under, "s")}, *old_, *next_, random_source());
  ASSERT_OK(done);
  EXPECT_EQ(done->rewrapped, 1U);
  EXPECT_EQ(scan(under, table::users), before);
  EXPECT_EQ(code(sealed_store::open(under, *old_, random_source())), "store_key");
  const auto again = sealed_store::open(under, *next_, random_source());
  ASSERT_OK(again);
  EXPECT_EQ(read(**again, table::users, "ann"), "1");
}

TEST_F(rewrapped, stores_change_between_a_key_file_and_passphrases) {
  memory_store under;
  ASSERT_OK((*sealed_store::open(under, *old_, random_source()))->write({seal(table::users, "ann", "1")}));
  const auto place = data_key_of(under, "s");
  const auto first = words("correct horse"), second = words("battery staple");
  ASSERT_OK(rewrap_keys({place}, *old_, *first, random_source()));
  ASSERT_OK(rewrap_keys({place}, *words("correct horse"), *second, random_source()));
  EXPECT_EQ(code(sealed_store::open(under, *first, random_source())), "store_key");
  const auto again = sealed_store::open(under, *words("battery staple"), random_source());
  ASSERT_OK(again);
  EXPECT_EQ(read(**again, table::users, "ann"), "1");
}

TEST_F(rewrapped, stores_without_a_data_key_are_counted_or_damaged) {
  memory_store under;
  const auto place = data_key_of(under, "s");
  const auto done = rewrap_keys({place}, *old_, *next_, random_source());
  ASSERT_OK(done);
  EXPECT_EQ(done->absent, 1U);
  EXPECT_TRUE(scan(under, table::meta).empty());
  EXPECT_EQ(check_keys({place}, *old_).value(), 0U);
  ASSERT_OK(write(under, {put(table::users, "ann", "1")}));
  EXPECT_EQ(code(rewrap_keys({place}, *old_, *next_, random_source())), "store_damaged");
}

TEST_F(rewrapped, stores_say_which_keys_to_keep_when_the_write_fails) {
  memory_store memory;
  faulty_store under(memory);
  ASSERT_OK(sealed_store::open(under, *old_, random_source()));
  under.fail_writes(errc::store_full);
  const auto failed = rewrap_keys({data_key_of(under, "s")}, *old_, *next_, random_source());
  EXPECT_EQ(code(failed), "store_full");
  EXPECT_NE(failed.error().detail.find("keep the old key and the new one"), std::string::npos);
  under.repair();
  EXPECT_OK(rewrap_keys({data_key_of(under, "s")}, *old_, *next_, random_source()));
}

TEST_F(rewrapped, files_keep_their_content_and_open_only_with_the_new_key) {
  make_files();
  const auto shared = open_data_key(dir_ / "data.key", "shared", *old_, random_source());
  std::vector<std::size_t> progress;
  const auto done = rewrap_keys(files(), *old_, *next_, random_source(), [&](std::size_t n, std::size_t all) {
    progress.insert(progress.end(), {n, all});
  });
  ASSERT_OK(done);
  EXPECT_EQ(done->rewrapped, 3U);
  EXPECT_EQ(progress, (std::vector<std::size_t>{1, 3, 2, 3, 3, 3}));
  EXPECT_EQ(opened_by(), "new new new");
  EXPECT_EQ(content("a", *next_), "content of a");
  EXPECT_EQ(content("b", *next_), "content of b");
  EXPECT_EQ(content("a", *old_), "(error) store_key");
  EXPECT_TRUE(*shared == *open_data_key(dir_ / "data.key", "shared", *next_, random_source()));
}

TEST_F(rewrapped, files_are_finished_by_a_repetition_after_any_of_them) {
  const std::vector<std::string> halves{"new old old", "new new old", "new new new"};
  for (std::size_t stop = 1; stop <= 3; ++stop) {
    for (const auto* name : {"data.key", "a", "b"}) std::filesystem::remove(dir_ / name);
    make_files();
    struct killed {};
    EXPECT_THROW(static_cast<void>(rewrap_keys(files(), *old_, *next_, random_source(),
                                               [stop](std::size_t done, std::size_t) {
                                                 if (done == stop) throw killed{};
                                               })),
                 killed);
    EXPECT_EQ(opened_by(), halves[stop - 1]);
    const auto done = rewrap_keys(files(), *old_, *next_, random_source());
    ASSERT_OK(done);
    EXPECT_EQ(done->already, stop);
    EXPECT_EQ(done->rewrapped, 3 - stop);
    EXPECT_EQ(opened_by(), "new new new");
    EXPECT_EQ(content("b", *next_), "content of b");
  }
}

TEST_F(rewrapped, files_stay_when_one_of_them_opens_with_neither_key) {
  make_files();
  const auto other = protector("other");
  std::filesystem::remove(dir_ / "b");
  ASSERT_OK(sealed_file::open(dir_ / "b", "b", *other, random_source())->save(as_bytes("x")));
  const auto refused = rewrap_keys(files(), *old_, *next_, random_source());
  EXPECT_EQ(code(refused), "store_key");
  EXPECT_NE(refused.error().detail.find((dir_ / "b").string() + ": "), std::string::npos);
  EXPECT_NE(refused.error().detail.find("nothing was changed"), std::string::npos);
  EXPECT_EQ(opened_by(), "old old neither");
  EXPECT_EQ(code(check_keys(files(), *old_)), "store_key");
}

TEST_F(rewrapped, files_stay_when_both_protectors_have_the_same_key) {
  make_files();
  EXPECT_EQ(code(rewrap_keys(files(), *old_, *open_key_file(dir_ / "kek").value(), random_source())),
            "state_conflict");
  EXPECT_EQ(code(rewrap_keys(files(), *words("same"), *words("same"), random_source())), "state_conflict");
  EXPECT_EQ(opened_by(), "old old old");
}

TEST_F(rewrapped, files_that_do_not_exist_are_left_out) {
  make_files();
  std::filesystem::remove(dir_ / "a");
  EXPECT_EQ(check_keys(files(), *old_).value(), 2U);
  const auto done = rewrap_keys(files(), *old_, *next_, random_source());
  ASSERT_OK(done);
  EXPECT_EQ(done->rewrapped, 2U);
  EXPECT_EQ(done->absent, 1U);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "a"));
}

TEST_F(rewrapped, files_under_a_shared_data_key_hold_none_of_their_own) {
  const auto key = random_source().draw_secret<32>();
  ASSERT_OK(sealed_file::with_data_key(dir_ / "f", "f", key, random_source()).save(as_bytes("x")));
  EXPECT_EQ(code(rewrap_keys({sealed_file_place(dir_ / "f", "f")}, *old_, *next_, random_source())),
            "store_key");
}

}  // namespace
}  // namespace cpns::storage::testing
