// Devices wait for the programs that acknowledge their keys, and none of these can hold them up.

#include "actors/application_keys/consumers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace cpns::actors {
namespace {

using answer = consumers::answer;

constexpr uid_t broker = 4711, other_user = 4712;

entity_id device(int number) {
  return entity_id::parse("urn:dev:os:32473-" + std::to_string(number)).value();
}

purpose named(const std::string& name) {
  purpose p;
  p.name = name;
  return p;
}

struct acknowledged_keys : testing::Test {
  key_changes changes;
  consumers all{"gateway", changes};
  purpose mqtt = named("mqtt"), few = named("few");
  api::peer from;
  int calls = 0;

  acknowledged_keys() {
    few.entities = {device(1).text()};
    from.process.uid = broker;
  }
  std::unique_ptr<consumers::wait> wait(int n) {
    return all.wait_for(device(n), true, [this] { ++calls; });
  }
  std::unique_ptr<consumers::wait> change_and_wait(int n) {
    changes.changed(device(n));
    return wait(n);
  }
  /// The program has read everything.
  answer acknowledge(consumers::membership& m, std::uint64_t revision, const purpose& p) {
    m.sent(changes.newest());
    return all.acknowledge(m.id(), p.name, broker, revision);
  }
  answer acknowledge(consumers::membership& m) { return acknowledge(m, changes.newest(), mqtt); }
};

TEST_F(acknowledged_keys, are_waited_for_by_their_device_alone) {
  EXPECT_EQ(change_and_wait(1), nullptr) << "nobody acknowledges";
  const auto one = all.join(mqtt, from);
  const auto first = change_and_wait(1), second = change_and_wait(2);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(acknowledge(*one, 2, mqtt), answer::done);
  EXPECT_EQ(calls, 1) << "the change of device 1";
  EXPECT_EQ(acknowledge(*one), answer::done);
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(wait(2), nullptr) << "it is acknowledged already";
  EXPECT_EQ(first->give_up(), "");
}

TEST_F(acknowledged_keys, of_a_renewal_are_waited_for_after_a_start_until_the_first_program_is_back) {
  consumers fresh{"gateway", changes, seconds{60}};
  const auto begin = [&](int n, bool renewal) {
    changes.changed(device(n));
    return fresh.wait_for(device(n), renewal, [this] { ++calls; });
  };
  EXPECT_EQ(begin(1, false), nullptr) << "no program has a key of it";
  const auto first = begin(1, true), second = begin(2, true), third = begin(3, true);
  ASSERT_TRUE(first && second && third);
  const auto back = fresh.join(few, from);
  EXPECT_EQ(calls, 0);
  back->sent(changes.newest());
  EXPECT_EQ(fresh.acknowledge(back->id(), few.name, broker, changes.newest()), answer::done);
  EXPECT_EQ(calls, 1) << "device 1, which its purpose covers";
  const auto other = fresh.join(mqtt, from);
  other->sent(changes.newest());
  EXPECT_EQ(fresh.acknowledge(other->id(), mqtt.name, broker, changes.newest()), answer::done);
  EXPECT_EQ(calls, 3);
}

TEST_F(acknowledged_keys, are_not_waited_for_when_no_program_came_back) {
  consumers fresh{"gateway", changes, seconds{60}};
  changes.changed(device(1));
  const auto none = fresh.wait_for(device(1), true, [this] { ++calls; });
  ASSERT_TRUE(none);
  EXPECT_EQ(none->give_up(), "") << "nobody is late";
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(all.wait_for(device(1), true, [] {}), nullptr) << "none is expected any more";
}

TEST_F(acknowledged_keys, are_those_of_each_program_whose_purpose_covers_the_device) {
  const auto one = all.join(mqtt, from), other = all.join(few, from);
  const auto both = change_and_wait(1), alone = change_and_wait(2);
  acknowledge(*one);
  EXPECT_EQ(calls, 1) << "device 2";
  acknowledge(*other, changes.newest(), few);
  EXPECT_EQ(calls, 2);
}

TEST_F(acknowledged_keys, of_a_device_that_changes_again_are_its_newest_ones) {
  const auto one = all.join(mqtt, from);
  const auto w = change_and_wait(1);
  one->sent(changes.newest());
  const auto before = changes.newest();
  changes.changed(device(1));
  EXPECT_EQ(all.acknowledge(one->id(), "mqtt", broker, before), answer::done);
  EXPECT_EQ(calls, 0);
  acknowledge(*one);
  EXPECT_EQ(calls, 1);
}

TEST_F(acknowledged_keys, are_those_that_were_sent_to_the_user_of_the_watch) {
  const auto one = all.join(mqtt, from);
  const auto w = change_and_wait(1);
  EXPECT_EQ(all.acknowledge(one->id(), "mqtt", broker, 1), answer::not_sent_yet);
  one->sent(1);
  EXPECT_EQ(all.acknowledge(one->id(), "mqtt", other_user, 1), answer::no_such_watch);
  EXPECT_EQ(all.acknowledge(one->id(), "few", broker, 1), answer::no_such_watch);
  EXPECT_EQ(all.acknowledge("0123456789abcdef", "mqtt", broker, 1), answer::no_such_watch);
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(all.acknowledge(one->id(), "mqtt", broker, 1), answer::done);
  EXPECT_EQ(calls, 1);
}

TEST_F(acknowledged_keys, are_not_waited_for_when_their_program_has_ended) {
  auto one = all.join(mqtt, from);
  const auto id = one->id();
  const auto w = change_and_wait(1);
  one.reset();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(all.acknowledge(id, "mqtt", broker, 0), answer::no_such_watch);
}

TEST_F(acknowledged_keys, of_an_exchange_that_is_over_wake_nobody) {
  const auto one = all.join(mqtt, from);
  auto w = change_and_wait(1);
  w.reset();
  acknowledge(*one);
  EXPECT_EQ(calls, 0);
}

TEST_F(acknowledged_keys, of_a_slow_program_are_not_waited_for_until_it_has_caught_up) {
  const auto slow = all.join(mqtt, from), fast = all.join(mqtt, from);
  const auto pending = change_and_wait(9);
  for (unsigned i = 1; i <= consumers::missed_max; ++i) {
    const auto w = change_and_wait(1);
    ASSERT_TRUE(w) << i;
    acknowledge(*fast);
    EXPECT_EQ(calls, 0);
    EXPECT_THAT(w->give_up(), testing::HasSubstr("for the purpose mqtt"));
  }
  EXPECT_EQ(calls, 1) << "the device that waited for it still";
  const auto third = changes.newest();
  const auto w = change_and_wait(1);
  ASSERT_TRUE(w) << "the other program";
  acknowledge(*fast);
  EXPECT_EQ(calls, 2);
  auto rows = all.describe();
  EXPECT_EQ(std::count_if(rows.begin(), rows.end(), [](const auto& r) { return r.at("slow").as_bool(); }), 1);
  slow->sent(changes.newest());
  all.acknowledge(slow->id(), "mqtt", broker, third - 1);
  acknowledge(*fast);
  EXPECT_EQ(change_and_wait(3) == nullptr, false);
  all.acknowledge(slow->id(), "mqtt", broker, third);
  rows = all.describe();
  EXPECT_EQ(std::count_if(rows.begin(), rows.end(), [](const auto& r) { return r.at("slow").as_bool(); }), 0);
}

TEST_F(acknowledged_keys, of_a_program_that_connects_again_and_again_are_not_waited_for) {
  for (unsigned i = 1; i <= consumers::missed_max; ++i) {
    std::unique_ptr<consumers::wait> w;
    const auto one = all.join(mqtt, from);
    w = change_and_wait(1);
    ASSERT_TRUE(w) << i;
  }
  EXPECT_EQ(calls, static_cast<int>(consumers::missed_max)) << "its end lets them go on";
  const auto again = all.join(mqtt, from);
  EXPECT_FALSE(change_and_wait(1));
  acknowledge(*again);
  EXPECT_TRUE(change_and_wait(1)) << "it has caught up";
}

TEST_F(acknowledged_keys, are_waited_for_when_the_role_ends_its_programs) {
  auto one = all.join(mqtt, from);
  const auto w = change_and_wait(1);
  all.close();
  one.reset();
  EXPECT_EQ(calls, 0);
  const auto later = change_and_wait(2);
  ASSERT_TRUE(later);
  EXPECT_EQ(later->give_up(), "");
  EXPECT_EQ(calls, 0);
}

TEST_F(acknowledged_keys, name_the_oldest_of_a_program_that_never_acknowledged_and_of_its_purpose) {
  changes.changed(device(7));  // before its watch
  const auto one = all.join(few, from);
  changes.changed(device(2));  // of another purpose
  changes.changed(device(1));
  const auto rows = all.describe();
  EXPECT_EQ(rows[0].at("oldest_without_ack").as_string(), device(1).text());
}

TEST_F(acknowledged_keys, name_the_device_of_the_oldest_key_that_a_program_uses) {
  const auto one = all.join(mqtt, from);
  changes.changed(device(1));
  acknowledge(*one);
  changes.changed(device(2));
  changes.changed(device(3));
  const auto rows = all.describe();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].at("oldest_without_ack").as_string(), device(2).text());
}

TEST_F(acknowledged_keys, come_from_several_threads) {
  constexpr int devices = 500;
  std::atomic<int> ready{0};
  std::atomic<bool> over{false};
  const auto one = all.join(mqtt, from), other = all.join(mqtt, from);
  std::vector<std::thread> programs;
  for (auto* m : {one.get(), other.get()})
    programs.emplace_back([&, m] {
      while (!over) acknowledge(*m);
    });
  std::vector<std::unique_ptr<consumers::wait>> waits;
  int at_once = 0;
  for (int n = 0; n < devices; ++n) {
    changes.changed(device(n));
    waits.push_back(all.wait_for(device(n), true, [&ready] { ++ready; }));
    if (!waits.back()) ++at_once;
    if (n % 10 == 9) waits[static_cast<std::size_t>(n) - 5].reset();
  }
  acknowledge(*one);
  acknowledge(*other);
  over = true;
  for (auto& t : programs) t.join();
  EXPECT_LE(ready + at_once, devices);
  EXPECT_GE(ready + at_once, devices * 9 / 10);
  for (const auto& w : waits)
    if (w) {
      EXPECT_EQ(w->give_up(), "");
    }
}

}  // namespace
}  // namespace cpns::actors
