// Actors of gateway and PNEs take turns: what the scheduler of their system goes by.
#include "actors/system.hpp"

#include <caf/scheduler/abstract_coordinator.hpp>

#include <gtest/gtest.h>

namespace cpns::actors {
namespace {

TEST(actor_runtime, an_actor_gives_way_after_64_messages_and_the_workers_share) {
  actor_runtime two, three{3};
  EXPECT_EQ(two.system().scheduler().max_throughput(), 64u);
  EXPECT_EQ(two.system().scheduler().num_workers(), 2u);
  EXPECT_EQ(three.system().scheduler().max_throughput(), 64u);
  EXPECT_EQ(three.system().scheduler().num_workers(), 3u);
  EXPECT_EQ(caf::get_or(two.system().config(), "scheduler.policy", caf::atom("none")), caf::atom("sharing"));
}

}  // namespace
}  // namespace cpns::actors
