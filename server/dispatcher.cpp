#include "server/dispatcher.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "server/assignment.hpp"

namespace cpns::server {
namespace {

using dispatcher_pointer = dispatcher_actor::stateful_pointer<dispatcher_state>;
using entries = dispatcher_state::entries;

constexpr std::uint32_t retry_full = 10;

void refuse(dispatcher_pointer self, const job& j, std::uint32_t retry_after, std::string reason) {
  if (const auto* r = std::get_if<job::report>(&j.what))
    return self->send(j.reply_to, report_done{j.id, r->entry, std::nullopt});
  self->send(j.reply_to,
             assignment_done{j.id, std::make_shared<const answer_body>(protocol::refusal{
                                       protocol::link_status::overloaded, retry_after, std::move(reason)})});
}

void put_down(dispatcher_pointer self, entries::iterator at) {
  auto& s = self->state;
  s.by_entity.erase(at->entity);
  s.by_actor.erase(at->actor.id());
  self->demonitor(at->actor.address());
  self->send_exit(at->actor, caf::exit_reason::user_shutdown);
  s.latest.erase(at);
}

/// The one that was not used for longest among those without work; the list is in that order.
bool make_room(dispatcher_pointer self) {
  auto& s = self->state;
  for (auto at = s.latest.end(); at != s.latest.begin();) {
    --at;
    if (!at->in_hand.empty()) continue;
    put_down(self, at);
    return true;
  }
  return false;
}

std::optional<entries::iterator> find_or_make(dispatcher_pointer self, const entity_id& entity) {
  auto& s = self->state;
  if (const auto found = s.by_entity.find(entity); found != s.by_entity.end()) return found->second;
  if (s.latest.size() >= s.role->settings()->entities_live && !make_room(self)) return std::nullopt;
  const bool after_crash = s.crashed.erase(entity) != 0;
  auto actor = self->spawn<caf::monitored>(assignment, s.role, entity, dispatcher_actor{self}, after_crash);
  s.latest.push_front({entity, actor, {}, s.role->now()});
  s.by_entity.emplace(entity, s.latest.begin());
  s.by_actor.emplace(actor.id(), s.latest.begin());
  return s.latest.begin();
}

void route(dispatcher_pointer self, const std::shared_ptr<const job>& j) {
  auto& s = self->state;
  const auto at = find_or_make(self, j->entity);
  if (!at) {
    log::warn("server", "entities-full", "too many entities have work in hand",
              {{"live", std::to_string(s.latest.size())}});
    return refuse(self, *j, retry_full, "the server has too much work in hand");
  }
  if ((*at)->in_hand.size() >= jobs_per_entity_max)
    return refuse(self, *j, retry_soon, "too many requests for this device at once");
  (*at)->in_hand.push_back(j);
  self->send((*at)->actor, do_job{j});
}

void finished(dispatcher_pointer self, const std::shared_ptr<const job>& j) {
  auto& s = self->state;
  const auto found = s.by_entity.find(j->entity);
  if (found == s.by_entity.end()) return;
  auto& e = *found->second;
  const auto done = std::find_if(e.in_hand.begin(), e.in_hand.end(),
                                 [&j](const auto& other) { return other->number == j->number; });
  if (done != e.in_hand.end()) e.in_hand.erase(done);
  e.last_used = s.role->now();
  s.latest.splice(s.latest.begin(), s.latest, found->second);
}

/// Puts down what has no work and was last used before `limit`.
void sweep(dispatcher_pointer self, time_point limit) {
  auto& s = self->state;
  for (auto at = s.latest.end(); at != s.latest.begin();) {
    --at;
    if (at->last_used > limit) return;
    if (!at->in_hand.empty()) continue;
    const auto next = std::next(at);
    put_down(self, at);
    at = next;
  }
}

/// An assignment actor died: its row is as it was stored last, and the gateways ask again.
void lost(dispatcher_pointer self, const caf::down_msg& m) {
  auto& s = self->state;
  const auto found = s.by_actor.find(m.source.id());
  if (found == s.by_actor.end()) return;
  const auto at = found->second;
  log::error("server", "actor-died", "an assignment actor ended unexpectedly; it begins again from the store",
             {{"entity", at->entity.text()}, {"jobs", std::to_string(at->in_hand.size())}});
  for (const auto& j : at->in_hand) refuse(self, *j, retry_soon, "the request was interrupted; ask again");
  s.crashed.insert(at->entity);
  s.by_entity.erase(at->entity);
  s.by_actor.erase(found);
  s.latest.erase(at);
}

}  // namespace

dispatcher_actor::behavior_type dispatcher(dispatcher_actor::stateful_pointer<dispatcher_state> self,
                                           role_context* role) {
  self->state.role = role;
  self->set_exception_handler([](std::exception_ptr&) -> caf::error { return caf::sec::runtime_error; });
  self->set_down_handler([self](const caf::down_msg& m) { lost(self, m); });
  self->set_exit_handler([self](const caf::exit_msg& m) {
    for (const auto& e : self->state.latest) self->send_exit(e.actor, caf::exit_reason::user_shutdown);
    self->quit(m.reason);
  });
  return {
      [self](const do_job& m) { route(self, m.what); },
      [self](const job_done& m) { finished(self, m.what); },
      [self](const tick&) {
        sweep(self, self->state.role->now() - self->state.role->settings()->entity_idle);
      },
      [self](const forget_idle&) { sweep(self, time_never); },
  };
}

}  // namespace cpns::server
