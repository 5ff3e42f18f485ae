// A PNE role whose key-encryption key changes while its devices use their key files.
#include <gtest/gtest.h>

#include <filesystem>

#include "actors/key_source.hpp"
#include "actors/pne/pne_role.hpp"
#include "crypto/suite.hpp"
#include "storage/rocksdb_store.hpp"
#include "storage/secret_file.hpp"
#include "tests/support/temporary_folder.hpp"

namespace cpns::pne_actor_tests {
namespace {

namespace fs = std::filesystem;

class running_pne : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(storage::create_key_file(kek(), crypto::system_entropy())); }
  [[nodiscard]] fs::path kek() const { return dir_ / "pne.kek"; }
  [[nodiscard]] fs::path file_of(const char* n) const { return dir_ / (std::string("d") + n + ".key"); }

  /// Two devices, each with a key file of its own, or both in `keys_dir`.
  result<std::unique_ptr<actors::pne_role>> start(const fs::path& key, bool shared) const {
    config::pne_config c;
    c.protector.file = key;
    c.plugin_dirs = {CPNS_TRANSPORTS};
    c.transports.push_back({.name = "radio", .plugin = "loopback", .params = {}});
    if (shared) c.keys_dir = dir_ / "keys";
    std::vector<actors::manufactured_device> devices;
    for (const auto* n : {"1", "2"}) {
      const auto entity = entity_id::parse(std::string("urn:dev:os:1-") + n).value();
      devices.push_back({entity, secret32{}, shared ? std::string{} : file_of(n).string()});
      if (!shared) c.devices.push_back({entity.text(), {}, file_of(n)});
    }
    CPNS_TRY(const auto protector, storage::open_protector(actors::key_source_of(c.protector)));
    const auto open_store = [](const fs::path& folder) { return storage::open_rocksdb_store(folder); };
    return actors::pne_role::start(c, *protector, devices, open_store);
  }
  void changes_its_key_and_starts_only_with_the_new_one(bool shared) {
    {
      auto role = start(kek(), shared);
      ASSERT_TRUE(role) << role.error().message();
      ASSERT_TRUE((*role)->command("reset", "urn:dev:os:1-1")) << "writes the key file of one device";
      storage::new_key wanted;
      wanted.in_place = true;
      const auto done = (*role)->keys().change(wanted);
      ASSERT_TRUE(done) << done.error().message();
      EXPECT_EQ(done->keys.rewrapped, shared ? 1U : 2U);
      EXPECT_EQ(done->old_key, kek().string() + ".old");
      ASSERT_TRUE((*role)->command("reset", "")) << "writes both, with the new key";
    }
    const auto with_old = start(kek().string() + ".old", shared);
    ASSERT_FALSE(with_old) << "the old key opens nothing";
    EXPECT_EQ(with_old.error().code, errc::store_key);
    const auto again = start(kek(), shared);
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ((*again)->devices(), 2U);
    EXPECT_TRUE((*again)->command("wake", ""));
  }

  test::temporary_folder dir_;
};

TEST_F(running_pne, changes_the_key_of_each_device) {
  changes_its_key_and_starts_only_with_the_new_one(false);
}
TEST_F(running_pne, changes_the_key_that_its_devices_share) {
  changes_its_key_and_starts_only_with_the_new_one(true);
}

TEST_F(running_pne, makes_no_new_data_key_for_a_store_that_needs_the_lost_one) {
  ASSERT_TRUE(start(kek(), true));
  const auto data_key = dir_ / "keys/data.key", saved = dir_ / "saved";
  fs::rename(data_key, saved);
  const auto without = start(kek(), true);
  ASSERT_FALSE(without);
  EXPECT_EQ(without.error().code, errc::store_key);
  EXPECT_NE(without.error().detail.find("the file " + data_key.string() + " is missing"), std::string::npos)
      << without.error().detail;
  EXPECT_FALSE(fs::exists(data_key));
  fs::rename(saved, data_key);
  const auto again = start(kek(), true);
  EXPECT_TRUE(again) << again.error().message();
}

TEST_F(running_pne, refuses_while_a_key_file_needs_another_key) {
  {
    auto role = start(kek(), false);
    ASSERT_TRUE(role);
    ASSERT_TRUE((*role)->command("reset", ""));
  }
  ASSERT_TRUE(storage::create_key_file(dir_ / "other.kek", crypto::system_entropy()));
  const auto other = storage::open_key_file(dir_ / "other.kek").value().release();
  const std::unique_ptr<storage::key_protector> owner{other};
  const auto place = storage::sealed_file_place(file_of("2"), "pne keys urn:dev:os:1-2");
  ASSERT_TRUE(place.write(other->wrap(secret32{}, place.purpose, crypto::system_entropy()).value()));
  auto role = start(kek(), false);
  ASSERT_TRUE(role) << "one device is off the radio";
  storage::new_key wanted;
  wanted.new_file = dir_ / "next.kek";
  const auto done = (*role)->keys().change(wanted);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, errc::store_key);
  EXPECT_NE(done.error().detail.find("d2.key"), std::string::npos) << done.error().detail;
  EXPECT_FALSE(fs::exists(wanted.new_file)) << "nothing was changed";
}

}  // namespace
}  // namespace cpns::pne_actor_tests
