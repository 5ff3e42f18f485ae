#include "actors/pn_gw/supervisor.hpp"

#include <algorithm>

#include "actors/pn_gw/supervisor_impl.hpp"
#include "actors/system.hpp"
#include "base/log.hpp"

namespace cpns::actors {

using namespace protocol;

supervisor_state::supervisor_state(supervisor_actor::pointer self, supervisor_parts parts)
    : self_(self), parts_(std::move(parts)),
      send_(sender_over(parts_.radios, std::string{gateway_component})), rssi_(rssi_over(parts_.radios)) {
  self_->monitor(parts_.uplink);
  self_->set_down_handler([this](const caf::down_msg& m) { died(m); });
  unproven_.set_answer_timeout(parts_.rules->device.answer_timeout);
  load_unfinished();
  go_on_with_unfinished();
  arm();
}

void supervisor_state::set_deadline(const sup_deadline& m) {
  if (devices_.find(m.device) == devices_.end()) return;
  deadlines_.set(m.device, m.at);
  // It waits for a server that refused it or cannot read its row; the next one needs no less time for that.
  if (m.at != time_never && m.at > clock() + going_on_waits && going_on_.erase(m.device) > 0)
    go_on_with_unfinished();
  arm();
}

/// An evicted device is loaded from the store when it is seen again.
void supervisor_state::unneeded(const sup_unneeded& m) {
  const auto it = devices_.find(m.device);
  if (it == devices_.end() || it->second.links > 0 || it->second.evicting) return;
  if (m.kind == sup_unneeded::kind_t::nothing_kept || going_on_.contains(it->first)) return evict(it->first);
  keep_alive(it->second);
  it->second.evictable = evictable_.put(it->first, m.kind);
  if (const auto one = evictable_.surplus()) evict(*one);
}

void supervisor_state::evicted(const sup_evicted& m) {
  const auto it = devices_.find(m.device);
  if (it == devices_.end()) return;
  it->second.evicting = false;
  --evicting_;
  if (m.gone) let_go(it);
  go_on_with_unfinished();
}

/// The actor of the device ends. On its links, if there are any, detection begins again.
void supervisor_state::let_go(devices_t::iterator it) {
  const auto device = it->first;
  const auto open = it->second.links;
  remove(it);
  if (open == 0) return;
  std::vector<std::pair<gw_link, std::string>> links;
  for (const auto& [link, r] : routes_)
    if (r.device == device) links.emplace_back(link, r.address.text());
  // All routes to the device go first: detection on one link may close another one to have room.
  for (const auto& [link, address] : links) {
    unproven_.remove(link);
    routes_.erase(link);
  }
  for (const auto& [link, address] : links) begin_detection(link, address);
  arm();
}

void supervisor_state::timer(const sup_timer& m) {
  armed_.fired(m.at);
  if (stopping_) return;
  const auto now = clock();
  for (auto k : deadlines_.take_due(now, ticks_at_once)) tell(k, gw_tick{});
  ask_due_to_rest();
  reschedule_some();
  for (auto k : detections_.take_due(now, ticks_at_once)) detect(k, now);
  if (permit_.is_over(now)) close_permit("permit-ended", "the time of the permit window is over");
  arm();
}

void supervisor_state::settings(const sup_settings& m) {
  const auto& former = parts_.rules->device;
  const bool other_updates = former.rekey_override != m.rules->device.rekey_override ||
                             former.rekey_jitter_percent != m.rules->device.rekey_jitter_percent;
  parts_.rules = m.rules;
  unproven_.set_answer_timeout(parts_.rules->device.answer_timeout);
  if (other_updates) reschedule_updates();
  parts_.tally->set_low_water(m.rules->device.low_water);
  if (permit_.is_open() && m.rules->device.policy != validation_policy::ask)
    return close_permit("permit-closed", "validation.policy is not `ask` any more");
  send_settings();
}

/// A device at rest reads them when it goes on.
void supervisor_state::send_settings() {
  for (const auto& [actor, number] : by_actor_)
    tell(number, gw_settings{settings_for(devices_.at(number).entity.text())});
}

bool supervisor_state::stop() {
  stopping_ = true;
  for (auto& [number, d] : devices_)
    if (d.work && d.work->actor) self_->send(d.work->actor, gw_shut_down{});
  devices_.clear();
  self_->send(parts_.uplink, link_shut_down{});
  parts_.uplink = nullptr;
  self_->quit();
  return true;
}

pn_gw_settings supervisor_state::settings_for(const std::string& entity) const {
  auto out = parts_.rules->settings_for(entity);
  if (permit_.is_open()) out.permit_until = permit_.until();
  return out;
}

/// `of`: its record, if the store has one, and its row.
std::uint64_t supervisor_state::spawn(const entity_id& entity, stored_device of) {
  const auto index = ++next_device_;
  device_parts parts;
  parts.index = index;
  const auto name = parts.name = parts_.tally->name_of(entity.text());
  parts.stored = of.record.has_value();
  parts.row = of.row;
  if (of.record) {
    parts.record = std::move(*of.record);
  } else {
    parts.record.entity = entity;
    parts.record.user = parts_.rules->device.user;
  }
  by_entity_.insert_or_assign(name, index);
  devices_.emplace(index,
                   device_entry{name, std::make_unique<at_work>(at_work{start_actor(std::move(parts))})});
  return index;
}

/// `parts`: those of the device; the others are added.
device_actor supervisor_state::start_actor(device_parts parts) {
  const auto index = parts.index;
  parts.settings = settings_for(parts.record.entity.text());
  parts.shared = of_devices_;
  parts.uplink = parts_.uplink;
  parts.supervisor = supervisor_actor{self_};
  auto actor = spawn_device(self_->system(), std::move(parts));
  self_->monitor(actor);
  by_actor_.emplace(actor.id(), index);
  return actor;
}

/// A device at rest leaves at once. If its actor was asked to rest, that is answered first.
void supervisor_state::evict(std::uint64_t device) {
  const auto it = devices_.find(device);
  auto& d = it->second;
  keep_alive(d);
  if (d.rested) {
    parts_.tally->out_of_memory(d.entity);
    return remove(it);
  }
  d.evicting = true;
  ++evicting_;
  if (!d.is_asked_to_rest()) self_->send(d.work->actor, gw_evict{});
}
void supervisor_state::keep_alive(device_entry& d) {
  if (d.evictable) evictable_.take(std::exchange(d.evictable, {}));
}
bool supervisor_state::make_room() {
  if (devices_.size() - evicting_ < parts_.rules->devices_max) return true;
  const auto next = evictable_.first();
  if (!next) return false;
  evict(*next);
  return true;
}

void supervisor_state::remove(devices_t::iterator it) {
  keep_alive(it->second);
  if (it->second.evicting) --evicting_;
  if (it->second.rested) --resting_;
  if (const auto& work = it->second.work; work && work->actor) {
    self_->demonitor(work->actor.address());
    by_actor_.erase(work->actor.id());
  }
  by_entity_.erase(it->second.entity);
  deadlines_.set(it->first, time_never);
  going_on_.erase(it->first);
  devices_.erase(it);
}

void supervisor_state::close_links(std::uint64_t device) {
  for (auto it = routes_.begin(); it != routes_.end();) {
    if (it->second.device != device) {
      ++it;
      continue;
    }
    parts_.radios[it->first.transport].transport->disconnect(it->first.link);
    unproven_.remove(it->first);
    it = routes_.erase(it);
  }
  arm();
}

/// Closes the device's links, so that its PNE connects again. If the stored record has an open request or
/// report for the server, a new actor starts at once, unless an earlier actor of this device died recently too.
void supervisor_state::died(const caf::down_msg& m) {
  if (stopping_) return;
  if (m.source == parts_.uplink.address())
    return parts_.failed("the server link ended; no key can be assigned");
  const auto who = by_actor_.find(m.source.id());
  if (who == by_actor_.end()) return;
  const auto at = devices_.find(who->second);
  const auto entity = at->second.entity.text();
  const auto number = at->first;
  ++deaths_;
  log::error(gateway_component, "device-died",
             "the actor of the device ended unexpectedly; the device continues from the stored record",
             {{"entity", entity}});
  close_links(number);
  remove(at);
  parts_.tally->erase(entity);
  go_on_with_unfinished();
  if (deaths_lately_.again(entity, clock())) return;
  if (by_entity_.contains(entity)) return;  // it was among the unfinished
  const auto id = entity_id::parse(entity).value();
  auto stored = parts_.store->read(id);
  if (!stored || !stored->record) return;
  parts_.tally->put_stored(*stored->record, parts_.rules->device.rekey_override);
  if (is_unfinished(*stored->record)) spawn(id, *std::move(stored));
}

void supervisor_state::arm() {
  begin_turns();
  const auto next = std::min({deadlines_.next(), detections_.next(), unproven_.next_turn(), permit_.until(),
                              may_rest_.next(), rescheduled_to_ ? clock() : time_never});
  if (const auto t = armed_.arm(clock(), next))
    self_->delayed_send(supervisor_actor{self_}, t->wait, sup_timer{t->at});
}

supervisor_actor spawn_supervisor(caf::actor_system& system, supervisor_parts parts) {
  auto shared = std::make_shared<supervisor_parts>(std::move(parts));
  return system.spawn([shared](supervisor_actor::pointer self) -> supervisor_actor::behavior_type {
    report_exceptions(self, "supervisor");
    self->attach_functor([failed = shared->failed](const caf::error& why) {
      if (why) failed("the supervisor of the devices ended");
    });
    auto s = std::make_shared<supervisor_state>(self, std::move(*shared));
    return {
        [s](const sup_radio_ready&) { s->drain_inboxes(); },
        [s](const sup_deadline& m) { s->set_deadline(m); },
        [s](const sup_close_link& m) { s->close_link(m); },
        [s](const sup_link_proven& m) { s->link_proven(m); },
        [s](const sup_link_judged& m) { s->link_judged(m); },
        [s](const sup_unneeded& m) { s->unneeded(m); },
        [s](const sup_evicted& m) { s->evicted(m); },
        [s](const sup_may_rest& m) { s->may_rest(m); },
        [s](const sup_rested& m) { s->rested(m); },
        [s](const sup_unreadable& m) { s->unreadable(m); },
        [s](const sup_timer& m) { s->timer(m); },
        [s](const sup_settings& m) { s->settings(m); },
        [s](const sup_stats&) { return s->stats(); },
        [s](const sup_radios&) { return s->radios(); },
        [s](const sup_page& m) { return s->page(m); },
        [s](const sup_show& m) { return s->show(m); },
        [s](const sup_command& m) { return s->command(m); },
        [s](const sup_forget& m) { return s->forget_device(m); },
        [s](const sup_permit& m) { return s->permit(m); },
        [s](const sup_stop&) { return s->stop(); },
    };
  });
}

}  // namespace cpns::actors
