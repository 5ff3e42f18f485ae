#pragma once
// The server's actor system: no configuration file is read; idle workers cost nothing under work sharing.

#include <caf/all.hpp>
#include <cstddef>

namespace cpns::server {

/// Messages that an actor handles before another one has its turn.
inline constexpr std::size_t messages_a_turn = 32;

struct system_config : caf::actor_system_config {
  system_config() {
    constexpr std::size_t workers = 2;
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", workers);
    set("scheduler.max-throughput", messages_a_turn);
  }
};

}  // namespace cpns::server
