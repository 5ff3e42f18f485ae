#include "server/dispatcher.hpp"

#include "base/log.hpp"
#include "server/assignment.hpp"

namespace cpns::server {
namespace {

using dispatcher_pointer = dispatcher_actor::stateful_pointer<dispatcher_state>;
using entries = dispatcher_state::entries;

constexpr std::size_t evictions_at_once = 64;
/// Over it, a new entity takes the actor of the one that is idle for longest.
constexpr std::size_t idle_kept = 256;

void refuse(dispatcher_pointer self, const job& j, std::uint32_t retry_after, std::string reason) {
  if (const auto* r = std::get_if<job::report>(&j.what))
    return self->send(j.reply_to, report_done{j.id, r->entry, std::nullopt});
  if (const auto* r = std::get_if<job::release>(&j.what))
    return r->reply->answer(fail(errc::state_overloaded, std::move(reason)));
  j.mail->put({j.id, protocol::refusal{protocol::link_status::overloaded, retry_after, std::move(reason)},
               j.arrived});
}

std::size_t live(const dispatcher_state& s) { return s.busy.size() + s.idle.size(); }

void count_live(const dispatcher_state& s) { s.role->counted.entities.set(static_cast<double>(live(s))); }

void evict(dispatcher_pointer self, entries::iterator at) {
  auto& s = self->state;
  s.by_entity.erase(at->entity);
  s.by_actor.erase(at->actor.id());
  self->demonitor(at->actor.address());
  self->send_exit(at->actor, caf::exit_reason::user_shutdown);
  s.idle.erase(at);
  count_live(s);
}

/// Evicts the least recently used idle entity.
bool make_room(dispatcher_pointer self) {
  auto& s = self->state;
  if (s.idle.empty()) return false;
  evict(self, std::prev(s.idle.end()));
  return true;
}

/// Not if the actor must read what its last write did.
bool take_over(dispatcher_state& s, const entity_id& entity) {
  if (s.idle.size() < idle_kept || s.idle.back().uncertain) return false;
  const auto at = std::prev(s.idle.end());
  auto place = s.by_entity.extract(at->entity);
  place.key() = at->entity = entity;
  s.by_entity.insert(std::move(place));
  s.idle.splice(s.idle.begin(), s.idle, at);
  return true;
}

std::optional<entries::iterator> find_or_make(dispatcher_pointer self, const entity_id& entity,
                                              const actor_settings& bounds) {
  auto& s = self->state;
  if (const auto found = s.by_entity.find(entity); found != s.by_entity.end()) return found->second;
  if (!s.crashed.contains(entity) && take_over(s, entity)) return s.idle.begin();
  if (live(s) >= bounds.entities_live && !make_room(self)) return std::nullopt;
  const bool after_crash = s.crashed.erase(entity) != 0;
  auto actor = self->spawn<caf::monitored>(assignment, s.role, entity, dispatcher_actor{self}, after_crash);
  s.idle.push_front({entity, actor, {}, s.role->now()});
  s.by_entity.emplace(entity, s.idle.begin());
  s.by_actor.emplace(actor.id(), s.idle.begin());
  count_live(s);
  return s.idle.begin();
}

void route(dispatcher_pointer self, const std::shared_ptr<const job>& j, const actor_settings& bounds) {
  auto& s = self->state;
  const auto at = find_or_make(self, j->entity, bounds);
  if (!at) {
    if (s.role->refusals.may_log(s.role->now(), j->from->uri))
      log::warn("server", "entities-full", "too many entities have pending jobs",
                {{"live", std::to_string(live(s))}, {"gateway", j->from->uri}});
    s.role->counted.refused(server_metrics::bound::entities);
    return refuse(self, *j, retry_full, "the server has too much pending work");
  }
  auto& e = **at;
  if (e.pending.size() >= bounds.jobs_per_entity) {
    s.role->counted.refused(server_metrics::bound::entity);
    return refuse(self, *j, retry_soon, "too many requests for this device at once");
  }
  if (e.pending.empty()) s.busy.splice(s.busy.begin(), s.idle, *at);
  e.pending.push_back(j);
  self->send(e.actor, do_job{j});
}

void finished(dispatcher_state& s, const job_done& m, time_point now) {
  const auto& j = m.what;
  const auto found = s.by_entity.find(j->entity);
  if (found == s.by_entity.end()) return;
  auto& e = *found->second;
  e.last_used = now;
  e.uncertain = m.uncertain;
  if (std::erase_if(e.pending, [&j](const auto& other) { return other->number == j->number; }) == 0) return;
  if (e.pending.empty()) s.idle.splice(s.idle.begin(), s.busy, found->second);
}

void finish_all(dispatcher_state& s) {
  const auto now = s.role->now();
  for (const auto& done : s.role->jobs_done.take()) finished(s, done, now);
}

/// Evicts idle entities last used at or before `limit`: a part of them at a time, so that requests do not wait for
/// thousands of evictions.
void sweep(dispatcher_pointer self, time_point limit) {
  auto& s = self->state;
  for (std::size_t n = 0; !s.idle.empty() && s.idle.back().last_used <= limit; ++n) {
    if (n == evictions_at_once) return self->send(dispatcher_actor{self}, sweep_on{limit});
    evict(self, std::prev(s.idle.end()));
  }
}

/// An assignment actor died: its row is as last stored, and the gateways repeat their requests.
void lost(dispatcher_pointer self, const caf::down_msg& m) {
  auto& s = self->state;
  finish_all(s);  // the actor may have answered before it died
  const auto found = s.by_actor.find(m.source.id());
  if (found == s.by_actor.end()) return;
  const auto at = found->second;
  log::error("server", "actor-died",
             "an assignment actor ended unexpectedly; the entity continues from the stored row",
             {{"entity", at->entity.text()}, {"jobs", std::to_string(at->pending.size())}});
  for (const auto& j : at->pending) refuse(self, *j, retry_soon, "the request was interrupted; ask again");
  s.crashed.insert(at->entity);
  s.by_entity.erase(at->entity);
  s.by_actor.erase(found);
  (at->pending.empty() ? s.idle : s.busy).erase(at);
  count_live(s);
}

}  // namespace

dispatcher_actor::behavior_type dispatcher(dispatcher_actor::stateful_pointer<dispatcher_state> self,
                                           role_context* role) {
  self->state.role = role;
  self->set_exception_handler([](std::exception_ptr&) -> caf::error { return caf::sec::runtime_error; });
  self->set_down_handler([self](const caf::down_msg& m) { lost(self, m); });
  self->set_exit_handler([self](const caf::exit_msg& m) {
    for (const auto* list : {&self->state.busy, &self->state.idle})
      for (const auto& e : *list) self->send_exit(e.actor, caf::exit_reason::user_shutdown);
    self->quit(m.reason);
  });
  return {
      [self, role](const do_job& m) { route(self, m.what, *role->settings()); },
      [self, role](const do_jobs& m) {
        const auto bounds = role->settings();
        for (const auto& j : *m.all) route(self, j, *bounds);
      },
      [self](const look_at_done&) { finish_all(self->state); },
      [self, role](const tick&) {
        sweep(self, role->now() - role->settings()->entity_idle);
        role->refusals.tick(role->now());
      },
      [self](const sweep_on& m) { sweep(self, m.limit); },
  };
}

}  // namespace cpns::server
