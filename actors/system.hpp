#pragma once
// A role's actor system: no configuration file, few workers, work sharing (idle workers cost nothing).

#include <caf/all.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <string>

#include "base/log.hpp"

namespace cpns::actors {

/// Messages that an actor handles in one turn, so that a full mailbox does not delay other actors.
inline constexpr std::size_t messages_a_turn = 64;

/// Owns an actor system. The role stops its actors first; the destructor waits for them.
class actor_runtime {
 public:
  /// Use more workers than cores if actors block on the disk.
  explicit actor_runtime(std::size_t workers = 2) {
    config_.set("scheduler.policy", caf::atom("sharing"));
    config_.set("scheduler.max-threads", workers);
    config_.set("scheduler.max-throughput", messages_a_turn);
    system_ = std::make_unique<caf::actor_system>(config_);
  }
  /// A pending delayed_send keeps its actor alive, and the actor keeps the system: a rekey timer may be a day
  /// away.
  ~actor_runtime() { system_->clock().cancel_all(); }
  actor_runtime(const actor_runtime&) = delete;
  actor_runtime& operator=(const actor_runtime&) = delete;
  [[nodiscard]] caf::actor_system& system() { return *system_; }

 private:
  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
};

/// An exception in a handler of `self` ends the actor, and is logged (CAF would print it to standard error).
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
