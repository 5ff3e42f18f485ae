#include "actors/system.hpp"

namespace cpns::actors {
namespace {

constexpr std::size_t workers = 2;

}  // namespace

actor_runtime::actor_runtime() {
  config_.set("scheduler.policy", caf::atom("sharing"));
  config_.set("scheduler.max-threads", workers);
  system_ = std::make_unique<caf::actor_system>(config_);
}

actor_runtime::~actor_runtime() = default;

}  // namespace cpns::actors
