#pragma once
// A role's actor system: no configuration file is read, few workers, work sharing (idle daemons cost
// nothing).

#include <caf/all.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <string>

#include "base/log.hpp"

namespace cpns::actors {

/// Messages that an actor takes in one turn, so that one with a full mailbox does not keep the others
/// waiting.
inline constexpr std::size_t messages_a_turn = 64;

/// Owns an actor system. Actors are told to end before it is destroyed; its destructor waits for them.
class actor_runtime {
 public:
  /// More workers than cores are for actors that wait for a disk.
  explicit actor_runtime(std::size_t workers = 2);
  ~actor_runtime();
  actor_runtime(const actor_runtime&) = delete;
  actor_runtime& operator=(const actor_runtime&) = delete;
  [[nodiscard]] caf::actor_system& system() { return *system_; }

 private:
  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
};

/// An exception in a handler of `self` ends it; the log says who and why, not the standard error of CAF.
template <class Self>
void report_exceptions(Self* self, std::string who) {
  self->set_exception_handler([who = std::move(who)](std::exception_ptr& thrown) -> caf::error {
    std::string why = "an unknown exception";
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& e) {
      why = e.what();
    } catch (...) {
    }
    log::error("actors", "actor-died", why, {{"actor", who}});
    return caf::sec::runtime_error;
  });
}

}  // namespace cpns::actors
