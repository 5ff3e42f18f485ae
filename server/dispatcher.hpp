#pragma once
// dispatcher: finds or makes the actor of an entity, bounds the pending jobs, and answers for actors that died.

#include <list>
#include <unordered_map>
#include <unordered_set>

#include "server/context.hpp"

namespace cpns::server {

struct dispatcher_state {
  const char* name = "dispatcher";
  struct entry {
    entity_id entity;
    assignment_actor actor;
    std::vector<std::shared_ptr<const job>> pending;
    time_point last_used;
    bool uncertain = false;  ///< as of job_done
  };
  using entries = std::list<entry>;

  role_context* role = nullptr;
  entries busy;  ///< with pending jobs
  entries idle;  ///< most recently used first, evicted from the end
  std::unordered_map<entity_id, entries::iterator> by_entity;
  std::unordered_map<caf::actor_id, entries::iterator> by_actor;
  std::unordered_set<entity_id> crashed;  ///< their actor died; the next one waits for its last write
};

/// `role` outlives the actor. Supervises the assignment actors; if it dies, the role has failed.
dispatcher_actor::behavior_type dispatcher(dispatcher_actor::stateful_pointer<dispatcher_state> self,
                                           role_context* role);

}  // namespace cpns::server
