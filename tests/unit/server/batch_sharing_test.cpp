#include "server/batch_sharing.hpp"

#include <atomic>
#include <caf/all.hpp>
#include <caf/scheduler/coordinator.hpp>
#include <gtest/gtest.h>
#include <set>
#include <thread>

namespace cpns::server {
namespace {

struct shared_config : caf::actor_system_config {
  explicit shared_config(std::size_t workers) {
    load<caf::scheduler::coordinator<batch_sharing>>();
    set("scheduler.max-threads", workers);
  }
};

using counter_actor = caf::typed_actor<caf::reacts_to<int>>;

/// Passes each number on, one less, until it is 0.
counter_actor::behavior_type relay(counter_actor::pointer self, counter_actor next, std::atomic<int>* ended) {
  return {[=](int left) {
    if (left == 0)
      ++*ended;
    else
      self->send(next ? next : counter_actor{self}, left - 1);
  }};
}

template <class Done>
bool wait_for(Done done) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{60};
  while (!done() && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  return done();
}

class batch_sharing_of : public testing::TestWithParam<std::size_t> {};

TEST_P(batch_sharing_of, leaves_no_job_however_it_comes) {
  std::atomic<int> ended = 0;
  {
    shared_config c{GetParam()};
    caf::actor_system system{c};
    const auto last = system.spawn(relay, counter_actor{}, &ended);
    std::vector<counter_actor> all;
    for (int i = 0; i < 200; ++i) all.push_back(system.spawn(relay, last, &ended));
    // One at a time, which needs a sleeping worker, and many from several threads.
    for (int i = 1; i <= 300; ++i) {
      caf::anon_send(all[0], 5);
      ASSERT_TRUE(wait_for([&] { return ended == i; })) << i;
    }
    std::vector<std::thread> senders;
    for (int t = 0; t < 3; ++t)
      senders.emplace_back([&all] {
        for (int i = 0; i < 2000; ++i) caf::anon_send(all[static_cast<std::size_t>(i) % all.size()], 3);
      });
    for (auto& t : senders) t.join();
    EXPECT_TRUE(wait_for([&] { return ended == 6300; })) << ended;
    for (const auto& a : all) caf::anon_send_exit(a, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(last, caf::exit_reason::user_shutdown);
  }
  EXPECT_EQ(ended, 6300) << "the system ended with jobs for its workers";
}

TEST_P(batch_sharing_of, ends_with_work_under_way) {
  std::atomic<int> ended = 0;
  for (int round = 0; round < 20; ++round) {
    shared_config c{GetParam()};
    caf::actor_system system{c};
    std::vector<counter_actor> all;
    for (int i = 0; i < 50; ++i) all.push_back(system.spawn(relay, counter_actor{}, &ended));
    for (const auto& a : all) {
      caf::anon_send(a, 100'000'000);
      caf::anon_send_exit(a, caf::exit_reason::user_shutdown);
    }
  }
  EXPECT_EQ(ended, 0);
}

INSTANTIATE_TEST_SUITE_P(workers, batch_sharing_of, testing::Values(1U, 2U, 4U));

TEST(batch_sharing, uses_a_second_worker_for_many_jobs_while_the_first_one_is_busy) {
  std::atomic<int> ended = 0;
  std::atomic<bool> busy = false, free = false;
  shared_config c{2};
  caf::actor_system system{c};
  const auto slow = system.spawn([&](caf::event_based_actor*) -> caf::behavior {
    return {[&](int) {
      busy = true;
      wait_for([&] { return free.load(); });
    }};
  });
  const auto other = system.spawn(relay, counter_actor{}, &ended);
  caf::anon_send(slow, 1);
  ASSERT_TRUE(wait_for([&] { return busy.load(); }));
  std::vector<counter_actor> all;
  for (int i = 0; i < 40; ++i) all.push_back(system.spawn(relay, other, &ended));
  for (const auto& a : all) caf::anon_send(a, 2);
  // The last one may wait for the first worker, once the second one sleeps.
  EXPECT_TRUE(wait_for([&] { return ended >= 30; })) << ended;
  free = true;
  EXPECT_TRUE(wait_for([&] { return ended == 40; })) << ended;
  for (const auto& a : all) caf::anon_send_exit(a, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(other, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(slow, caf::exit_reason::user_shutdown);
}

}  // namespace
}  // namespace cpns::server
