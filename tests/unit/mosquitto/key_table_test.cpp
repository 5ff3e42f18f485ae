#include "consumers/mosquitto/key_table.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

using table_ptr = std::unique_ptr<key_table, decltype(&key_table_free)>;

table_ptr make() { return {key_table_new(), &key_table_free}; }

std::string name(int number) { return "dev.mac.0024befffe80" + std::to_string(number) + "/1.0/mqtt"; }

int put(const table_ptr& table, const std::string& identity, unsigned char byte, std::size_t length = 32,
        const std::string& epoch = "1.0") {
  const std::vector<unsigned char> bytes(length, byte);
  return key_table_put(table.get(), identity.c_str(), "urn:dev:x", epoch.c_str(), bytes.data(), length);
}

TEST(KeyTable, FindsAKeyByItsIdentity) {
  const auto table = make();
  EXPECT_EQ(put(table, name(1), 0xa5), 0);
  EXPECT_EQ(put(table, name(2), 0x0f, 16, "3.10"), 0);
  found_key found{};
  ASSERT_TRUE(key_table_find(table.get(), name(2).c_str(), &found));
  EXPECT_EQ(std::string(found.hex), "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f");
  EXPECT_STREQ(found.entity, "urn:dev:x");
  EXPECT_STREQ(found.epoch, "3.10");
  EXPECT_FALSE(key_table_find(table.get(), name(3).c_str(), &found));
  EXPECT_FALSE(key_table_find(table.get(), "", &found));
  EXPECT_EQ(key_table_size(table.get()), 2U);
}

TEST(KeyTable, ReplacesAndRemoves) {
  const auto table = make();
  EXPECT_EQ(put(table, name(1), 1), 0);
  EXPECT_EQ(put(table, name(1), 2, 64), 0);
  EXPECT_EQ(key_table_size(table.get()), 1U);
  found_key found{};
  ASSERT_TRUE(key_table_find(table.get(), name(1).c_str(), &found));
  EXPECT_EQ(std::string(found.hex).size(), 128U);
  key_table_remove(table.get(), name(2).c_str());
  EXPECT_EQ(key_table_size(table.get()), 1U);
  key_table_remove(table.get(), name(1).c_str());
  key_table_remove(table.get(), name(1).c_str());
  EXPECT_EQ(key_table_size(table.get()), 0U);
  EXPECT_FALSE(key_table_find(table.get(), name(1).c_str(), &found));
}

TEST(KeyTable, LosesTheKeysThatAreNotPutAgain) {
  const auto table = make();
  for (int n = 0; n < 200; ++n) EXPECT_EQ(put(table, name(n), 1), 0);
  key_table_begin(table.get());
  EXPECT_EQ(key_table_size(table.get()), 200U) << "they stay in use meanwhile";
  for (int n = 0; n < 200; n += 2) EXPECT_EQ(put(table, name(n), 2), 0);
  EXPECT_EQ(put(table, name(500), 3), 0);
  key_table_sweep(table.get());
  EXPECT_EQ(key_table_size(table.get()), 101U);
  found_key found{};
  EXPECT_TRUE(key_table_find(table.get(), name(10).c_str(), &found));
  EXPECT_FALSE(key_table_find(table.get(), name(11).c_str(), &found));
  EXPECT_TRUE(key_table_find(table.get(), name(500).c_str(), &found));
}

TEST(KeyTable, TakesNoKeyAndNoNameThatDoesNotFit) {
  const auto table = make();
  EXPECT_EQ(put(table, name(1), 1, 65), -EINVAL);
  EXPECT_EQ(put(table, name(1), 1, 0), -EINVAL);
  EXPECT_EQ(put(table, std::string(256, 'a'), 1), -EINVAL);
  EXPECT_EQ(put(table, name(1), 1, 32, std::string(256, '1')), -EINVAL);
  EXPECT_EQ(key_table_size(table.get()), 0U);
  EXPECT_EQ(put(table, std::string(255, 'a'), 1, 64), 0);
}

TEST(KeyTable, WipesACopy) {
  const auto table = make();
  EXPECT_EQ(put(table, name(1), 0xff), 0);
  found_key found{};
  ASSERT_TRUE(key_table_find(table.get(), name(1).c_str(), &found));
  key_table_wipe(&found);
  for (const char c : found.hex) {
    EXPECT_EQ(c, '\0');
  }
}

TEST(KeyTable, KeepsManyKeys) {
  const auto table = make();
  constexpr int count = 5'000;
  for (int i = 0; i < count; ++i) {
    ASSERT_EQ(put(table, name(i), static_cast<unsigned char>(i)), 0);
  }
  for (int i = 0; i < count; i += 2) {
    key_table_remove(table.get(), name(i).c_str());
  }
  EXPECT_EQ(key_table_size(table.get()), count / 2U);
  found_key found{};
  for (int i = 0; i < count; ++i) {
    ASSERT_EQ(key_table_find(table.get(), name(i).c_str(), &found), i % 2 == 1) << i;
  }
}

TEST(KeyTable, IsReadWhileItIsFed) {
  const auto table = make();
  ASSERT_EQ(put(table, name(0), 7), 0);
  std::atomic<bool> fed{false};
  std::thread feeder([&] {
    for (int i = 1; i < 3'000; ++i) {
      (void)put(table, name(i), static_cast<unsigned char>(i));
      (void)put(table, name(0), 7);
      if (i > 100) {
        key_table_remove(table.get(), name(i - 100).c_str());
      }
    }
    fed = true;
  });
  int looked = 0;
  bool whole = true;
  do {
    found_key found{};
    whole = whole && key_table_find(table.get(), name(0).c_str(), &found) &&
            std::string(found.hex) == "0707070707070707070707070707070707070707070707070707070707070707";
    ++looked;
  } while (!fed);
  feeder.join();
  EXPECT_TRUE(whole);
  EXPECT_GT(looked, 0);
  EXPECT_EQ(key_table_size(table.get()), 101U);
}

}  // namespace
