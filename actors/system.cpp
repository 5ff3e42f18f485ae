#include "actors/system.hpp"

namespace cpns::actors {

actor_runtime::actor_runtime(std::size_t workers) {
  config_.set("scheduler.policy", caf::atom("sharing"));
  config_.set("scheduler.max-threads", workers);
  config_.set("scheduler.max-throughput", messages_a_turn);
  system_ = std::make_unique<caf::actor_system>(config_);
}

// A pending delayed_send keeps its actor, and an actor keeps the system: a rekey timer of a day would be
// waited for.
actor_runtime::~actor_runtime() { system_->clock().cancel_all(); }

}  // namespace cpns::actors
