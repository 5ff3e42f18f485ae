#pragma once
// The actor system of a server.

#include <caf/all.hpp>
#include <caf/scheduler/coordinator.hpp>
#include <cstddef>

#include "server/batch_sharing.hpp"

namespace cpns::server {

/// Reads no configuration file.
struct system_config : caf::actor_system_config {
  system_config() {
    constexpr std::size_t workers = 2;
    constexpr std::size_t messages_a_turn = 32;  // of an actor, before another one has its turn
    load<caf::scheduler::coordinator<batch_sharing>>();
    set("scheduler.max-threads", workers);
    set("scheduler.max-throughput", messages_a_turn);
  }
};

}  // namespace cpns::server
