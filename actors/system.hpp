#pragma once
// A role's actor system: no configuration file is read, two workers, work sharing (idle daemons cost
// nothing).

#include <caf/all.hpp>
#include <memory>

namespace cpns::actors {

/// Owns an actor system. Actors are told to end before it is destroyed; its destructor waits for them.
class actor_runtime {
 public:
  actor_runtime();
  ~actor_runtime();
  actor_runtime(const actor_runtime&) = delete;
  actor_runtime& operator=(const actor_runtime&) = delete;
  [[nodiscard]] caf::actor_system& system() { return *system_; }

 private:
  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
};

}  // namespace cpns::actors
