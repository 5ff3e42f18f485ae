#include "consumers/mosquitto/sessions.h"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <vector>

namespace {

/* Epochs of one digit. */
int compare(const char* a, const char* b) { return std::atoi(a) - std::atoi(b); }

class Sessions : public testing::Test {
 protected:
  Sessions() { EXPECT_TRUE(sessions_init(&book)); }
  ~Sessions() override { sessions_clear(&book); }
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  void* add(std::size_t number, const std::string& entity, const std::string& epoch) {
    EXPECT_TRUE(sessions_add(&book, &clients.at(number), (entity + "/" + epoch).c_str(), entity.c_str(),
                             epoch.c_str(), since));
    return &clients.at(number);
  }

  std::set<std::string> doomed() {
    std::set<std::string> out;
    for (session* s = sessions_first_doomed(&book); s != nullptr; s = sessions_first_doomed(&book)) {
      out.insert(s->identity);
      sessions_remove(&book, s->client);
    }
    return out;
  }

  std::uint64_t since = 0;
  std::array<int, 1'000> clients{};
  sessions book{};
};

TEST_F(Sessions, AreFoundByTheirClient) {
  void* client = add(1, "a", "1");
  const session* s = sessions_find(&book, client);
  ASSERT_NE(s, nullptr);
  EXPECT_STREQ(s->identity, "a/1");
  EXPECT_STREQ(s->entity, "a");
  EXPECT_STREQ(s->epoch, "1");
  EXPECT_EQ(sessions_find(&book, &clients[2]), nullptr);
  sessions_remove(&book, client);
  sessions_remove(&book, client);
  EXPECT_EQ(sessions_find(&book, client), nullptr);
  EXPECT_EQ(sessions_count(&book), 0U);
}

TEST_F(Sessions, BeginAgainWithAnotherKeyOfTheSameClient) {
  void* client = add(1, "a", "1");
  sessions_set_named(sessions_find(&book, client));
  add(1, "b", "2");
  EXPECT_EQ(sessions_count(&book), 1U);
  EXPECT_STREQ(sessions_find(&book, client)->entity, "b");
  EXPECT_FALSE(sessions_find(&book, client)->named);
  EXPECT_EQ(sessions_next_unnamed(&book, sessions_first_unnamed(&book)), nullptr);
}

TEST_F(Sessions, AreNamedOnce) {
  add(1, "a", "1");
  void* second = add(2, "b", "1");
  sessions_set_named(sessions_find(&book, second));
  sessions_set_named(sessions_find(&book, second));
  ASSERT_NE(sessions_first_unnamed(&book), nullptr);
  EXPECT_STREQ(sessions_first_unnamed(&book)->entity, "a");
  sessions_set_named(sessions_first_unnamed(&book));
  EXPECT_EQ(sessions_first_unnamed(&book), nullptr);
}

TEST_F(Sessions, OfADeviceEndBelowAnEpochAndOthersGoOn) {
  add(1, "a", "1");
  add(2, "a", "2");
  add(3, "a", "3");
  add(4, "b", "1");
  EXPECT_EQ(sessions_doom(&book, "a", "3", 1, &compare), 2U);
  EXPECT_EQ(sessions_doom(&book, "a", "3", 1, &compare), 0U);
  EXPECT_EQ(doomed(), (std::set<std::string>{"a/1", "a/2"}));
  EXPECT_EQ(sessions_count(&book), 2U);
}

TEST_F(Sessions, AllEndOfADeviceAndOfAllDevices) {
  add(1, "a", "1");
  add(2, "a", "2");
  add(3, "b", "2");
  EXPECT_EQ(sessions_doom(&book, "c", nullptr, 1, &compare), 0U);
  EXPECT_EQ(sessions_first_doomed(&book), nullptr);
  EXPECT_EQ(sessions_doom(&book, "a", nullptr, 1, &compare), 2U);
  EXPECT_EQ(sessions_doom(&book, nullptr, nullptr, 1, &compare), 1U);
  EXPECT_EQ(doomed().size(), 3U);
  EXPECT_EQ(sessions_first_unnamed(&book), nullptr);
  EXPECT_EQ(book.doomed_count, 0U);
}

TEST_F(Sessions, ThatBeganAfterADemandAreNotMeant) {
  add(1, "a", "1");
  since = 7;
  add(2, "a", "2");
  EXPECT_EQ(sessions_doom(&book, "a", nullptr, 7, &compare), 1U);
  EXPECT_EQ(sessions_doom(&book, nullptr, nullptr, 7, &compare), 0U);
  EXPECT_EQ(sessions_doom(&book, "a", "2", 8, &compare), 0U);
  EXPECT_EQ(doomed(), (std::set<std::string>{"a/1"}));
  EXPECT_EQ(sessions_doom(&book, "a", nullptr, 8, &compare), 1U);
}

TEST_F(Sessions, EndInTheOrderOfTheDemandsUnlessOneIsPostponed) {
  add(1, "a", "1");
  add(2, "b", "1");
  EXPECT_EQ(sessions_doom(&book, "b", nullptr, 1, &compare), 1U);
  EXPECT_EQ(sessions_doom(&book, "a", nullptr, 2, &compare), 1U);
  EXPECT_STREQ(sessions_first_doomed(&book)->entity, "b");
  sessions_postpone(&book, sessions_first_doomed(&book));
  EXPECT_STREQ(sessions_first_doomed(&book)->entity, "a");
  EXPECT_EQ(book.doomed_count, 2U);
}

TEST_F(Sessions, AreManyAtATime) {
  for (std::size_t i = 0; i < clients.size(); ++i) {
    add(i, "a" + std::to_string(i % 10), "1");
  }
  EXPECT_EQ(sessions_count(&book), clients.size());
  EXPECT_EQ(sessions_doom(&book, "a3", nullptr, 1, &compare), clients.size() / 10);
  EXPECT_EQ(doomed(), (std::set<std::string>{"a3/1"}));
  for (std::size_t i = 0; i < clients.size(); ++i) {
    EXPECT_EQ(sessions_find(&book, &clients[i]) == nullptr, i % 10 == 3) << i;
  }
}

}  // namespace
