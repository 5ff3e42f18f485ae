#include "actors/pne/fleet.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <set>
#include <unordered_map>

#include "actors/deadline_heap.hpp"
#include "actors/radio_view.hpp"
#include "actors/system.hpp"
#include "base/log.hpp"

namespace cpns::actors {
namespace {

using link_key = std::pair<std::uint64_t, std::uint64_t>;  // transport, link

constexpr seconds read_again_after{30};  // between attempts to read unreadable keys

class fleet {
 public:
  fleet(fleet_actor::pointer self, fleet_parts parts)
      : self_(self), radios_(std::move(parts.radios)), wake_(parts.wake), clock_(std::move(parts.clock)),
        failed_(std::move(parts.failed)), counted_(parts.counted), previous_(parts.previous),
        send_(sender_over(radios_, std::string{pne_component})), mailboxes_(parts.mailboxes) {
    self_->set_down_handler([this](const caf::down_msg& m) { died(m); });
    for (auto& m : parts.members) {
      const auto index = members_.size();
      by_entity_.emplace(m.settings.entity.text(), index);
      members_.push_back(
          {m.settings.entity.text(), std::move(m.settings), std::move(m.keys), pne_actor{}, false, {}});
      if (m.record)
        begin(index, std::move(*m.record));
      else
        leave_out(index, m.record.error());
    }
    arm();
  }

  void drain_inboxes() {
    for (auto& r : radios_)
      for (auto& e : r.inbox->take()) route(e);
    std::uint64_t dropped = 0;
    for (const auto& r : radios_) dropped += r.inbox->dropped();
    drops_.write(clock_(), pne_component, dropped);
  }

  void set_deadline(const fleet_deadline& m) {
    deadlines_.set(m.device, m.at);
    arm();
  }

  void timer(const fleet_timer& m) {
    armed_.fired(m.at);
    const auto now = clock_();
    for (auto k : deadlines_.take_due(now, ticks_at_once)) self_->send(members_[k].actor, pne_tick{});
    for (auto k : naps_.take_due(now, ticks_at_once)) turn(k);
    for (auto k : repairs_.take_due(now, ticks_at_once)) read_again(k);
    arm();
  }

  /// Switches the radio presence as the device requested.
  void set_awake(const fleet_wakes& m) {
    if (members_[m.device].awake == m.awake) return;
    members_[m.device].awake = m.awake;
    present(m.device, m.awake);
    plan_nap(m.device);
    arm();
  }

  /// The errors that keep devices off the radio.
  [[nodiscard]] std::vector<std::string> troubles() const {
    std::vector<std::string> out;
    for (const auto& d : members_)
      if (!d.actor) out.push_back(d.why_off());
    return out;
  }
  /// The devices that a command addresses; an error if `entity` is not one of them or is off the radio.
  [[nodiscard]] result<std::vector<pne_actor>> addressed(const std::string& entity) const {
    std::vector<pne_actor> out;
    if (entity.empty()) {
      for (const auto& d : members_)
        if (d.actor) out.push_back(d.actor);
      return out;
    }
    const auto it = by_entity_.find(entity);
    if (it == by_entity_.end()) return fail(errc::state_unknown, "this process has no device " + entity);
    const auto& device = members_[it->second];
    if (!device.actor) return fail(errc::store_unavailable, device.why_off());
    out.push_back(device.actor);
    return out;
  }

  fleet_view page(const fleet_page& q) const {
    std::unordered_map<std::uint64_t, std::size_t> links;
    for (const auto& [key, to] : links_) ++links[to.device];
    fleet_view out;
    auto it = q.prefix > q.after ? by_entity_.lower_bound(q.prefix) : by_entity_.upper_bound(q.after);
    for (; it != by_entity_.end() && out.devices.size() < q.count && it->first.starts_with(q.prefix); ++it) {
      const auto& m = members_[it->second];
      boost::json::object o{{"entity", m.entity}, {"awake", m.awake}, {"links", links[it->second]}};
      if (!m.trouble.empty()) o["key_file"] = "unreadable";
      out.devices.push_back(std::move(o));
    }
    return out;
  }

  [[nodiscard]] fleet_radios_view radios() const {
    radio_links links(radios_.size());
    for (const auto& [key, to] : links_)
      links.add(key.first, key.second, to.address, members_[to.device].entity);
    return {describe_radios(radios_, links)};
  }

  /// As after a power cut: the device restarts from its stored keys, when its pending writes have ended; its links are
  /// closed so that the gateway connects again.
  void died(const caf::down_msg& m) {
    const auto who = by_actor_.find(m.source.id());
    if (stopping_ || who == by_actor_.end()) return;
    const auto index = who->second;
    auto& device = members_[index];
    by_actor_.erase(who);
    device.actor = nullptr;
    log::error(pne_component, "device-died",
               "the actor of the device ended unexpectedly; the device restarts from its stored keys",
               {{"entity", device.entity}});
    for (auto it = links_.begin(); it != links_.end();) {
      if (it->second.device != index) {
        ++it;
        continue;
      }
      radios_[it->first.first].transport->disconnect(it->first.second);
      it = links_.erase(it);
    }
    device.keys->after_saves(
        [fleet = fleet_actor{self_}, index] { caf::anon_send(fleet, fleet_settled{index}); });
  }
  void settled(const fleet_settled& m) {
    if (stopping_ || members_[m.device].actor) return;
    read_again(m.device);
    arm();
    if (auto pending = resets_.extract(m.device)) answer(pending.mapped(), members_[m.device]);
    const auto is_unreadable = [](const member& d) { return !d.trouble.empty(); };
    if (std::all_of(members_.begin(), members_.end(), is_unreadable)) failed_("no device has readable keys");
  }

  /// True if `m` is the reset of a device whose keys cannot be read: it has no actor that could do it.
  [[nodiscard]] bool resets_unreadable(const fleet_command& m) const {
    const auto it = by_entity_.find(m.entity);
    if (m.what != pne_command::factory_reset || it == by_entity_.end()) return false;
    const auto& d = members_[it->second];
    return !d.trouble.empty() && d.keys && !resets_.contains(it->second);
  }
  /// Its keys are replaced by an empty record; the device begins as after a loss of its memory. The answer is that of
  /// fleet_command, when the outcome of the write is known.
  caf::result<std::string> reset_unreadable(const fleet_command& m) {
    const auto index = by_entity_.at(m.entity);
    auto& d = members_[index];
    repairs_.set(index, time_never);  // no actor may begin with the old record meanwhile
    auto promise = self_->make_response_promise<std::string>();
    const auto outcome = std::make_shared<status>();
    resets_.emplace(index, pending_reset{promise, outcome});
    d.keys->save({}, [outcome](const status& saved) { *outcome = saved; });
    d.keys->after_saves([fleet = fleet_actor{self_}, index] { caf::anon_send(fleet, fleet_settled{index}); });
    return promise;
  }

  bool stop() {
    for (auto& d : members_)
      if (d.actor) self_->send(d.actor, pne_shut_down{});
    for (auto& d : members_) d.actor = nullptr;
    stopping_ = true;
    self_->quit();
    return true;
  }

 private:
  struct member {
    std::string entity;
    protocol::pne_settings settings;
    std::shared_ptr<device_keys> keys;
    pne_actor actor;  ///< null while its keys are unreadable, or writes of its former actor are pending
    bool awake = false;
    std::string trouble;  ///< why its keys are unreadable

    [[nodiscard]] std::string why_off() const {
      return trouble.empty() ? "the device " + entity + " restarts; repeat the command" : trouble;
    }
  };

  struct pending_reset {
    caf::typed_response_promise<std::string> answer;
    std::shared_ptr<status> outcome;  ///< of the write; known at fleet_settled
  };
  static void answer(pending_reset& r, const member& d) {
    std::string trouble;
    if (!*r.outcome)
      trouble = "not known to be done: " + r.outcome->error().message();
    else if (!d.actor)
      trouble = d.why_off();
    else
      log::info(pne_component, "factory-reset", "command executed", {{"entity", d.entity}});
    r.answer.deliver(std::move(trouble));
  }

  struct leads_to {
    std::uint64_t device = 0;
    std::string address;    ///< of the gateway
    waiting_count waiting;  ///< messages pending in its mailbox
  };

  void begin(std::uint64_t index, protocol::pne_record record) {
    auto& m = members_[index];
    m.actor = spawn_pne_device(self_->system(), {.index = index,
                                                 .settings = m.settings,
                                                 .keys = m.keys,
                                                 .record = std::move(record),
                                                 .clock = clock_,
                                                 .send = send_,
                                                 .fleet = fleet_actor{self_},
                                                 .counted = counted_,
                                                 .previous = previous_});
    self_->monitor(m.actor);
    by_actor_[m.actor.id()] = index;
    deadlines_.set(index, time_never);
    set_awake({index, true});
    plan_nap(index);  // one that fell due while the device had no actor is gone
  }

  /// Unreadable keys take only their own device off the radio. Reading is retried: a file may be restored, or the
  /// disk may recover.
  void leave_out(std::uint64_t index, const error& why) {
    auto& m = members_[index];
    if (m.trouble != why.message())
      log::error(pne_component, "key-file-unreadable",
                 why.message() + (m.keys ? "; the device is off the radio, retrying every 30 s"
                                         : "; the device is off the radio until this process is restarted"),
                 {{"entity", m.entity}});
    m.trouble = why.message();
    set_awake({index, false});
    deadlines_.set(index, time_never);
    naps_.set(index, time_never);
    if (m.keys) repairs_.set(index, clock_() + read_again_after);
  }
  void read_again(std::uint64_t index) {
    auto& m = members_[index];
    auto record = m.keys->load();
    if (!record) return leave_out(index, record.error());
    if (!m.trouble.empty())
      log::info(pne_component, "key-file-readable", "the device is on the radio again",
                {{"entity", m.entity}});
    m.trouble.clear();
    begin(index, std::move(*record));
  }

  void route(radio_event& e) {
    if (stopping_) return;
    const link_key key{e.transport, e.link};
    switch (e.kind) {
    case radio_event::kind_t::link_up:
      if (e.endpoint == 0 || e.endpoint > members_.size()) return;
      // The gateway connects again.
      if (!members_[e.endpoint - 1].actor) return radios_[e.transport].transport->disconnect(e.link);
      links_[key] = {e.endpoint - 1, std::move(e.text), {}};
      return self_->send(members_[e.endpoint - 1].actor, pne_link_up{e.transport, e.link});
    case radio_event::kind_t::link_down:
      if (const auto it = links_.find(key); it != links_.end()) {
        self_->send(members_[it->second.device].actor, pne_link_down{e.transport, e.link});
        links_.erase(it);
      }
      return;
    case radio_event::kind_t::message:
      if (const auto it = links_.find(key); it != links_.end()) deliver(it->second, e);
      return;
    case radio_event::kind_t::peer_found:
    case radio_event::kind_t::woke:
    case radio_event::kind_t::connect_failed: return;  // events of a central
    case radio_event::kind_t::failed:
      log::error(pne_component, "radio-failed", e.text, {{"transport", radios_[e.transport].name}});
      return failed_(e.text);
    }
  }

  void deliver(leads_to& on, radio_event& e) {
    auto held = mailboxes_.take(e.message.size());
    if (!held || !on.waiting.add(link_messages_max)) return radios_[e.transport].inbox->count_dropped();
    self_->send(members_[on.device].actor,
                pne_frame{e.transport, e.link, std::move(e.message), on.waiting, std::move(held)});
  }

  void present(std::uint64_t index, bool on) {
    for (auto& r : radios_) {
      if (!on) {
        if (const auto gone = r.transport->remove_endpoint(index + 1); !gone)
          log::warn(pne_component, "not-taken-away", gone.error().message(),
                    {{"entity", members_[index].entity}});
        continue;
      }
      if (const auto added = r.transport->add_endpoint(index + 1, members_[index].entity); !added)
        log::error(pne_component, "not-presented", added.error().message(),
                   {{"entity", members_[index].entity}, {"transport", r.name}});
    }
  }

  /// `wake: {every}`: a device sleeps for `sleep_for` once per `every`, staggered by its index.
  void plan_nap(std::uint64_t index) {
    if (!wake_.every) return;
    const auto stagger = milliseconds{static_cast<std::int64_t>(index * 37 % 1000)};
    naps_.set(index, clock_() + (members_[index].awake ? *wake_.every + stagger : wake_.sleep_for));
  }
  void turn(std::uint64_t index) {
    self_->send(members_[index].actor,
                pne_do{members_[index].awake ? pne_command::sleep : pne_command::wake});
  }

  void arm() {
    if (const auto t = armed_.arm(clock_(), std::min({deadlines_.next(), naps_.next(), repairs_.next()})))
      self_->delayed_send(fleet_actor{self_}, t->wait, fleet_timer{t->at});
  }

  fleet_actor::pointer self_;
  std::vector<open_radio_entry> radios_;
  config::pne_wake wake_;
  clock_fn clock_;
  std::function<void(std::string)> failed_;
  pne_metrics counted_;
  previous_keys* previous_;
  radio_send_fn send_;
  message_credit mailboxes_;
  drop_line drops_;
  std::vector<member> members_;
  std::unordered_map<caf::actor_id, std::uint64_t> by_actor_;
  std::map<std::uint64_t, pending_reset> resets_;   ///< of devices whose keys cannot be read
  std::map<std::string, std::uint64_t> by_entity_;  ///< in the order of the pages
  std::map<link_key, leads_to> links_;
  deadline_heap deadlines_, naps_, repairs_;
  armed_timers armed_;
  bool stopping_ = false;
};

/// Answered when every addressed device has answered.
caf::result<std::string> command(fleet_actor::pointer self, fleet& f, const fleet_command& m) {
  if (f.resets_unreadable(m)) return f.reset_unreadable(m);
  const auto all = f.addressed(m.entity);
  if (!all) return all.error().detail;
  if (!m.entity.empty()) return self->delegate(all->front(), pne_order{m.what});
  struct gathering {
    caf::typed_response_promise<std::string> promise;
    std::size_t missing;
    std::vector<std::string> troubles;
    void one_less(const std::string& trouble) {
      if (!trouble.empty()) troubles.push_back(trouble);
      if (--missing == 0) end();
    }
    void end() {
      promise.deliver(troubles.empty() ? std::string{}
                                       : "failed for " + std::to_string(troubles.size()) +
                                             " devices: " + troubles.front());
    }
  };
  auto promise = self->make_response_promise<std::string>();
  auto g = std::make_shared<gathering>(gathering{promise, all->size(), f.troubles()});
  if (all->empty()) g->end();
  for (const auto& d : *all)
    self->request(d, caf::infinite, pne_order{m.what})
        .then([g](const std::string& trouble) { g->one_less(trouble); },
              [g](const caf::error&) { g->one_less("not known to be done: its actor ended"); });
  return promise;
}

}  // namespace

fleet_actor spawn_fleet(caf::actor_system& system, fleet_parts parts) {
  auto shared = std::make_shared<fleet_parts>(std::move(parts));
  return system.spawn([shared](fleet_actor::pointer self) -> fleet_actor::behavior_type {
    auto f = std::make_shared<fleet>(self, std::move(*shared));
    report_exceptions(self, "fleet");
    return {
        [f](const fleet_radio_ready&) { f->drain_inboxes(); },
        [f](const fleet_deadline& m) { f->set_deadline(m); },
        [f](const fleet_wakes& m) { f->set_awake(m); },
        [f](const fleet_settled& m) { f->settled(m); },
        [f](const fleet_timer& m) { f->timer(m); },
        [f, self](const fleet_command& m) { return command(self, *f, m); },
        [f](const fleet_page& m) { return f->page(m); },
        [f](const fleet_radios&) { return f->radios(); },
        [f](const fleet_stop&) { return f->stop(); },
    };
  });
}

}  // namespace cpns::actors
