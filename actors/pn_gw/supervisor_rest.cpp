// Devices that wait for nothing but their next update have no actor: it ends, and is made again from the stored record
// and the device's gw_resting when a message, the deadline or a person needs it.
#include "actors/pn_gw/device_records.hpp"
#include "actors/pn_gw/supervisor_impl.hpp"
#include "actors/pn_gw/views.hpp"
#include "base/log.hpp"
#include "crypto/suite.hpp"

namespace cpns::actors {

using namespace protocol;

void supervisor_state::may_rest(const sup_may_rest& m) {
  if (devices_.find(m.device) == devices_.end()) return;
  may_rest_.put(m.device, clock());
  ask_due_to_rest();
  arm();
}

void supervisor_state::ask_due_to_rest() {
  const auto now = clock();
  while (const auto device = may_rest_.take(now)) ask_to_rest(*device);
}

void supervisor_state::ask_to_rest(std::uint64_t device) {
  const auto it = devices_.find(device);
  if (it == devices_.end() || it->second.rested || it->second.evicting) return;
  auto& work = *it->second.work;
  if (work.held) return;
  work.held = std::make_unique<held_messages>();
  self_->send(work.actor, gw_rest{});
}

void supervisor_state::rested(const sup_rested& m) {
  const auto it = devices_.find(m.device);
  if (it == devices_.end() || !it->second.is_asked_to_rest()) return;
  const auto held = std::move(it->second.work->held);
  if (m.rested) rests_now(it, m, held->empty());
  // make_room() chose the device while its actor was asked.
  if (it->second.evicting && m.rested) {
    if (held->empty()) return evict(m.device);
    it->second.evicting = false, --evicting_;
  }
  for (auto& use : *held) with_actor(m.device, std::move(use));
  // After the held messages: the actor stays if one of them needs it, and answers with sup_evicted.
  if (it->second.evicting) self_->send(it->second.work->actor, gw_evict{});
}

/// Its actor ends after the questions that it was sent; its deadline and its links stay. `idle`: no message for it is pending.
void supervisor_state::rests_now(devices_t::iterator it, const sup_rested& m, bool idle) {
  auto& d = it->second;
  auto& actor = d.work->actor;
  self_->send(actor, gw_shut_down{});
  self_->demonitor(actor.address());
  by_actor_.erase(actor.id());
  actor = nullptr;
  d.rested = std::make_unique<packed_rest>(*m.rested, m.same_id, clock());
  ++resting_;
  if (idle) d.work.reset();
  if (m.rested->link)
    if (const auto route = routes_.find(*m.rested->link); route != routes_.end()) {
      d.rested->forget_place();  // the route has the address
      if (idle) route->second.waiting = {};
    }
  if (d.links == 0 && !d.evictable && !d.evicting)
    d.evictable = evictable_.put(it->first, sup_unneeded::kind_t::away);
}

void supervisor_state::with_actor(std::uint64_t device, std::function<void(const device_actor&)> use) {
  auto& d = devices_.at(device);
  if (d.is_asked_to_rest()) return d.work->held->push_back(std::move(use));
  if (d.rested) wake(device, d);
  use(d.work->actor);
}

/// The actor reads the record itself, so that many that are due at once do not stop the supervisor.
void supervisor_state::wake(std::uint64_t index, device_entry& d) {
  if (rescheduled_to_ && d.entity.view() > *rescheduled_to_) reschedule(index, d);
  auto rested = d.rested->unpacked();
  --resting_;
  keep_alive(d);
  device_parts parts;
  parts.index = index;
  parts.name = d.entity;
  parts.record.entity = entity_id::parse(d.entity).value();
  parts.stored = true;
  if (rested.place) parts.place = *rested.place;  // if its link went down meanwhile
  if (const auto& on = rested.link)
    if (const auto route = routes_.find(*on); route != routes_.end())
      parts.place = {parts_.radios[on->transport].name, route->second.address.text()};
  parts.same_id = d.rested->same_id();
  parts.rested = std::move(rested);
  d.rested.reset();
  if (!d.work) d.work = std::make_unique<at_work>();
  d.work->actor = start_actor(std::move(parts));
}

/// As after the end of an actor: its PNE connects again. It stays in the list if its record may be read then.
void supervisor_state::unreadable(const sup_unreadable& m) {
  const auto it = devices_.find(m.device);
  if (it == devices_.end()) return;
  const auto entity = it->second.entity.text();
  close_links(m.device);
  remove(it);
  go_on_with_unfinished();
  if (m.for_now)
    parts_.tally->out_of_memory(entity);
  else
    parts_.tally->erase(entity);
}

/// As a machine that does not rest does with other settings. A million devices take seconds, so each turn has some of them, in
/// the order of their names; one that goes on before its turn is rescheduled then.
void supervisor_state::reschedule_updates() {
  rescheduled_to_ = std::string{};
  reschedule_some();
}

void supervisor_state::reschedule_some() {
  if (!rescheduled_to_) return;
  const auto& names = by_entity_;
  auto it = names.upper_bound(*rescheduled_to_);
  std::string_view last;
  for (std::size_t n = 0; it != names.end() && n < ticks_at_once; ++it, ++n) {
    last = it->first;
    if (const auto d = devices_.find(it->second); d != devices_.end() && d->second.rested)
      reschedule(d->first, d->second);
  }
  if (it == names.end())
    rescheduled_to_.reset();
  else
    rescheduled_to_ = std::string{last};
  arm();
}

void supervisor_state::reschedule(std::uint64_t index, const device_entry& d) {
  const auto now = clock();
  const auto ahead = (parts_.dates ? parts_.dates().wall : now) - now;
  const auto& settings = parts_.rules->device;
  auto machine = d.rested->unpacked();
  machine.update_due =
      update_due_after(machine.updated_at, machine.rekey_seconds, settings, crypto::system_entropy());
  d.rested->set_update_due(machine.update_due);
  deadlines_.set(index, machine.next_deadline());
  const auto interval = settings.rekey_override.value_or(seconds{machine.rekey_seconds});
  parts_.tally->set_due(
      d.entity, interval > seconds::zero() ? unix_milliseconds(machine.updated_at + ahead + interval) : 0);
}

void supervisor_state::load_unfinished() {
  if (!parts_.unfinished) {
    auto found = unfinished_devices(*parts_.store, [](const device_summary&) {});
    if (!found) return log::error(gateway_component, "store-unreadable", found.error().message());
    parts_.unfinished = std::move(*found);
  }
  unfinished_.assign(parts_.unfinished->begin(), parts_.unfinished->end());
  parts_.unfinished.reset();
}

/// Those that have a link, or an actor already, do not need a place.
void supervisor_state::go_on_with_unfinished() {
  if (stopping_ || unfinished_.empty()) return;
  while (!unfinished_.empty() && going_on_.size() < going_on_max && make_room()) {
    auto entity = std::move(unfinished_.front());
    unfinished_.pop_front();
    if (by_entity_.contains(entity.text())) continue;
    auto stored = parts_.store->read(entity);
    if (!stored && may_be_read_later(stored.error())) {
      // The next event of a radio or an actor tries again.
      if (cannot_go_on_.due(clock(), stored.error().message()))
        log::error(gateway_component, "store-unreadable", stored.error().message(),
                   {{"entity", entity.text()}});
      unfinished_.push_back(std::move(entity));
      return;
    }
    if (!stored)
      log::error(gateway_component, "record-unreadable", stored.error().message(),
                 {{"entity", entity.text()}});
    if (!stored || !stored->record || !is_unfinished(*stored->record)) continue;
    // A request that is not a refill goes on when the PNE comes, which may be never.
    const bool waits_for_pne = stored->record->request && !stored->record->request_is_refill;
    const auto device = spawn(entity, *std::move(stored));
    if (!waits_for_pne) going_on_.insert(device);
  }
  if (unfinished_.empty())
    log::info(gateway_component, "store-gone-through",
              "every PNE that owed the server something at the start goes on, or went on");
}

gw_view supervisor_state::note_of(const device_entry& d) const {
  const auto machine = d.rested->unpacked();
  std::optional<gw_place> where;
  if (machine.place) where = *machine.place;
  if (machine.link)
    if (const auto route = routes_.find(*machine.link); route != routes_.end())
      where = gw_place{parts_.radios[machine.link->transport].name, route->second.address.text()};
  return {note_of_rest(d.entity.text(), machine, where, d.rested->same_id())};
}

}  // namespace cpns::actors
