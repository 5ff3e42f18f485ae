// The server's actors take turns: what the scheduler of a system with the role's configuration goes by.
#include "server/system_config.hpp"

#include <caf/scheduler/abstract_coordinator.hpp>

#include <gtest/gtest.h>

namespace cpns::server {
namespace {

TEST(server_system, an_actor_gives_way_after_32_messages_and_two_workers_share) {
  system_config config;
  caf::actor_system system{config};
  EXPECT_EQ(system.scheduler().max_throughput(), 32u);
  EXPECT_EQ(system.scheduler().num_workers(), 2u);
  EXPECT_EQ(caf::get_or(config, "scheduler.policy", caf::atom("none")), caf::atom("sharing"));
}

}  // namespace
}  // namespace cpns::server
