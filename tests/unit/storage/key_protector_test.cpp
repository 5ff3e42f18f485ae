#include <sys/stat.h>

#include "storage/key_protector.hpp"
#include "support.hpp"

namespace cpns::storage::testing {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<key_protector> key_file(const fs::path& path) {
  EXPECT_OK(create_key_file(path, random_source()));
  auto opened = open_key_file(path);
  EXPECT_OK(opened);
  return opened ? std::move(*opened) : nullptr;
}
std::unique_ptr<key_protector> passphrase(std::string_view text) {
  auto made = make_passphrase_protector(secret_bytes::from_text(text));
  EXPECT_OK(made);
  return made ? std::move(*made) : nullptr;
}

TEST(key_file, is_created_once_and_only_for_its_owner) {
  const temporary_folder dir;
  ASSERT_OK(create_key_file(dir / "key", random_source()));
  EXPECT_EQ(fs::status(dir / "key").permissions(), fs::perms::owner_read | fs::perms::owner_write);
  const auto content = content_of(dir / "key");
  EXPECT_EQ(content.size(), 65U);
  EXPECT_TRUE(from_hex(content.substr(0, 64)));
  EXPECT_EQ(code(create_key_file(dir / "key", random_source())), "state_exists");
  EXPECT_EQ(content_of(dir / "key"), content);
  EXPECT_EQ(code(create_key_file(dir / "missing/key", random_source())), "config_file");
  ASSERT_OK(create_key_file(dir / "other", random_source()));
  EXPECT_NE(content_of(dir / "other"), content);
}

TEST(key_file, error_speaks_of_creating_when_the_path_cannot_be_used) {
  const temporary_folder dir;
  const auto made = create_key_file(dir / std::string(300, 'k'), random_source());
  ASSERT_FALSE(made);
  const auto& said = made.error().detail;
  EXPECT_NE(said.find("cannot create " + dir.path().string()), std::string::npos) << said;
  EXPECT_EQ(said.find("replace"), std::string::npos) << said;
}

TEST(key_file, is_created_without_removing_a_file_of_a_similar_name) {
  const temporary_folder dir;
  ASSERT_OK(create_key_file(dir / "key.new", random_source()));
  const auto content = content_of(dir / "key.new");
  ASSERT_OK(create_key_file(dir / "key", random_source()));
  EXPECT_EQ(content_of(dir / "key.new"), content);
}

TEST(key_file, is_refused_when_others_have_access_to_it) {
  const temporary_folder dir;
  ASSERT_OK(create_key_file(dir / "key", random_source()));
  for (const auto bit :
       {fs::perms::group_write, fs::perms::group_exec, fs::perms::others_read, fs::perms::others_write}) {
    fs::permissions(dir / "key", fs::perms::owner_read | fs::perms::owner_write | bit);
    const auto opened = open_key_file(dir / "key");
    EXPECT_EQ(code(opened), "store_key");
    EXPECT_NE(opened.error().detail.find("chmod 600"), std::string::npos);
  }
  fs::permissions(dir / "key", fs::perms::owner_read);
  EXPECT_OK(open_key_file(dir / "key"));
}

TEST(key_file, is_refused_when_it_is_missing_or_not_a_key_file) {
  const temporary_folder dir;
  EXPECT_EQ(code(open_key_file(dir / "key")), "store_key");
  EXPECT_EQ(code(open_key_file(dir.path())), "store_key");
  ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(code(open_key_file(dir / "pipe")), "store_key");
  for (const auto& text :
       {std::string(), std::string(63, 'a'), std::string(66, 'a'), std::string(100'000, 'a'),
        std::string(63, 'a') + "x", "a\n" + std::string(63, 'a')}) {
    set_content(dir / "bad", text);
    fs::permissions(dir / "bad", fs::perms::owner_read | fs::perms::owner_write);
    EXPECT_EQ(code(open_key_file(dir / "bad")), "store_key") << text.size();
  }
}

TEST(key_protector, wraps_and_unwraps) {
  const temporary_folder dir;
  const auto key = random_source().draw_secret<32>();
  const auto file = key_file(dir / "key");
  const auto words = passphrase("correct horse");
  for (const auto* p : {file.get(), words.get()}) {
    const auto wrapped = p->wrap(key, "test", random_source());
    ASSERT_OK(wrapped);
    const auto back = p->unwrap(*wrapped, "test");
    ASSERT_OK(back);
    EXPECT_TRUE(*back == key);
    EXPECT_EQ(std::string(as_text(*wrapped)).find(as_text(key.expose())), std::string::npos);
    EXPECT_NE(*p->wrap(key, "test", random_source()), *wrapped) << "a nonce was used twice";
  }
  const auto wrapped = words->wrap(key, "test", random_source());
  EXPECT_OK(passphrase("correct horse")->unwrap(*wrapped, "test")) << "the wrapped key contains the salt";
}

TEST(key_protector, refuses_another_purpose_another_key_and_another_kind) {
  const temporary_folder dir;
  const auto key = random_source().draw_secret<32>();
  const auto file = key_file(dir / "key");
  const auto other_file = key_file(dir / "other");
  const auto words = passphrase("correct horse");
  const auto by_file = *file->wrap(key, "test", random_source());
  const auto by_words = *words->wrap(key, "test", random_source());
  EXPECT_EQ(code(file->unwrap(by_file, "else")), "store_key");
  EXPECT_EQ(code(words->unwrap(by_words, "else")), "store_key");
  EXPECT_EQ(code(other_file->unwrap(by_file, "test")), "store_key");
  EXPECT_EQ(code(passphrase("wrong")->unwrap(by_words, "test")), "store_key");
  const auto mixed = words->unwrap(by_file, "test");
  EXPECT_EQ(code(mixed), "store_key");
  EXPECT_NE(mixed.error().detail.find("kind 'file'"), std::string::npos) << mixed.error().detail;
  EXPECT_EQ(code(file->unwrap(by_words, "test")), "store_key");
  EXPECT_EQ(code(make_passphrase_protector({})), "store_key");
}

TEST(key_protector, refuses_every_changed_byte_and_every_cut) {
  const temporary_folder dir;
  const auto file = key_file(dir / "key");
  const auto wrapped = *file->wrap(random_source().draw_secret<32>(), "test", random_source());
  for (std::size_t i = 0; i < wrapped.size(); ++i) {
    auto changed = wrapped;
    changed[i] ^= 1;
    EXPECT_EQ(code(file->unwrap(changed, "test")), "store_key") << i;
    EXPECT_EQ(code(file->unwrap(byte_view(wrapped).first(i), "test")), "store_key") << i;
  }
}

}  // namespace
}  // namespace cpns::storage::testing
