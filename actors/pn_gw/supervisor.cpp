#include "actors/pn_gw/supervisor.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>

#include "actors/deadline_heap.hpp"
#include "actors/pn_gw/device.hpp"
#include "actors/pn_gw/device_book.hpp"
#include "actors/pn_gw/gathering.hpp"
#include "actors/pn_gw/strangers.hpp"
#include "actors/pn_gw/views.hpp"
#include "actors/system.hpp"
#include "base/log.hpp"
#include "base/seldom.hpp"
#include "crypto/suite.hpp"
#include "protocol/pn_gw/detector.hpp"

namespace cpns::actors {
namespace {

using namespace protocol;

class supervisor {
 public:
  supervisor(supervisor_actor::pointer self, supervisor_parts parts)
      : self_(self), parts_(std::move(parts)),
        send_(sender_over(parts_.radios, std::string{gateway_component})) {
    self_->monitor(parts_.uplink);
    self_->set_down_handler([this](const caf::down_msg& m) { died(m); });
    load_unfinished();
    arm();
  }

  void drain_inboxes() {
    if (stopping_) return;
    for (auto& r : parts_.radios)
      for (auto& e : r.inbox->take()) route(e);
    arm();
  }

  void set_deadline(const sup_deadline& m) {
    if (devices_.find(m.device) == devices_.end()) return;
    deadlines_.set(m.device, m.at);
    arm();
  }

  /// An evicted device is loaded from the store when it is seen again.
  void unneeded(const sup_unneeded& m) {
    const auto it = devices_.find(m.device);
    if (it == devices_.end() || it->second.links > 0 || it->second.evicting) return;
    if (m.kind == sup_unneeded::kind_t::nothing_kept) return evict(it->second);
    keep_alive(it->second);
    it->second.evictable = evictable_.put(it->first, m.kind);
    if (const auto one = evictable_.surplus()) evict(devices_.at(*one));
  }

  void evicted(const sup_evicted& m) {
    const auto it = devices_.find(m.device);
    if (it == devices_.end()) return;
    it->second.evicting = false;
    --evicting_;
    if (!m.gone) return;
    if (const auto open = it->second.links; remove(it), open == 0) return;
    std::vector<std::pair<gw_link, std::string>> links;  // came up meanwhile: start detection
    for (const auto& [link, r] : routes_)
      if (r.device == m.device) links.emplace_back(link, r.address);
    for (const auto& [link, address] : links) {
      routes_.erase(link);
      begin_detection(link, address);
    }
    arm();
  }

  void close_link(const sup_close_link& m) {
    lines_->write(
        clock(), log::level::info, "link-closed", m.why,
        {{"transport", parts_.radios[m.link.transport].name}, {"link", std::to_string(m.link.link)}});
    parts_.radios[m.link.transport].transport->disconnect(m.link.link);
  }

  void link_proven(const sup_link_proven& m) { unproven_.remove(m.link); }

  void timer(const sup_timer& m) {
    armed_.fired(m.at);
    if (stopping_) return;
    const auto now = clock();
    for (auto k : deadlines_.take_due(now, ticks_at_once)) self_->send(devices_.at(k).actor, gw_tick{});
    for (auto k : detections_.take_due(now, ticks_at_once)) detect(k, now);
    arm();
  }

  void settings(const sup_settings& m) {
    parts_.rules = m.rules;
    parts_.tally->set_low_water(m.rules->device.low_water);
    for (const auto& [number, d] : devices_)
      self_->send(d.actor, gw_settings{m.rules->settings_for(d.entity)});
  }

  /// The devices without an actor, described from the store. Devices with an actor describe themselves.
  boost::json::array stored() const {
    return describe_stored_devices(
        *parts_.store, [this](const std::string& entity) { return by_entity_.count(entity) != 0; });
  }
  [[nodiscard]] std::vector<device_actor> live() const {
    std::vector<device_actor> out;
    for (const auto& [number, d] : devices_) out.push_back(d.actor);
    return out;
  }
  [[nodiscard]] device_actor find(const std::string& entity) const {
    const auto it = by_entity_.find(entity);
    if (it == by_entity_.end()) return {};
    return devices_.at(it->second).actor;
  }

  gw_view stats() const {
    std::uint64_t dropped = dropped_;
    for (const auto& r : parts_.radios) dropped += r.inbox->dropped();
    return {describe_counts({devices_.size(), routes_.size(), by_number_.size(), unproven_.size(), dropped,
                             lines_->left_out(), deaths_})};
  }

  [[nodiscard]] gw_view radios() const {
    std::vector<link_line> links;
    for (const auto& [link, r] : routes_) {
      const auto d = devices_.find(r.device);
      links.push_back({link, r.address, d == devices_.end() ? std::string{} : d->second.entity});
    }
    return {describe_radios(parts_.radios, links)};
  }

  gw_view show_stored(const std::string& entity) const { return {show_stored_device(*parts_.store, entity)}; }

  /// The device's actor replies to "approve" and "reject", after the decision is durable.
  caf::result<std::string> command(const sup_command& m) {
    const auto id = entity_id::parse(m.entity);
    if (!id) return id.error().message();
    if (const auto it = by_entity_.find(m.entity); it != by_entity_.end()) {
      if (devices_.at(it->second).evicting) return m.entity + " is being evicted from memory; try again";
      keep_alive(devices_.at(it->second));
    } else {
      auto record = parts_.store->load(*id);
      if (!record) return record.error().message();
      if (!*record) return "the gateway has no device " + m.entity;
      spawn(*id, std::move(**record));
    }
    const auto& device = devices_.at(by_entity_.at(m.entity)).actor;
    if (m.what == "update") return self_->send(device, gw_update{}), std::string{};
    if (m.what != "approve" && m.what != "reject") return "unknown command " + m.what;
    return self_->delegate(device, gw_decision{m.what == "approve"});
  }

  bool stop() {
    stopping_ = true;
    for (auto& [number, d] : devices_) self_->send(d.actor, gw_shut_down{});
    devices_.clear();
    self_->send(parts_.uplink, link_shut_down{});
    parts_.uplink = nullptr;
    self_->quit();
    return true;
  }

 private:
  struct device_entry {
    std::string entity;
    device_actor actor;
    std::size_t links = 0;                             ///< its open links
    waiting_count waiting{};                           ///< new links pending in its mailbox
    bool evicting = false;                             ///< gw_evict was sent
    std::optional<eviction_order::place> evictable{};  ///< set while it may be evicted
  };
  using devices_t = std::unordered_map<std::uint64_t, device_entry>;
  /// The receiver of a link's messages: a detector until a device answers, then that device.
  struct route_t {
    std::string address;
    std::uint64_t device = 0;
    std::unique_ptr<detector> probe;
    std::uint64_t number = 0;  ///< of the detector
    waiting_count waiting{};   ///< messages pending in the mailbox of the device
    metrics::presence counted{};
  };

  [[nodiscard]] time_point clock() const { return parts_.clock(); }

  void load_unfinished() {
    for (auto& r : unfinished_devices(*parts_.store)) {
      const auto entity = r.entity;
      spawn(entity, std::move(r));
    }
  }

  std::uint64_t spawn(const entity_id& entity, device_record record, bool stored = true) {
    const auto index = ++next_device_;
    auto actor = spawn_device(self_->system(), {.index = index,
                                                .settings = parts_.rules->settings_for(entity.text()),
                                                .record = std::move(record),
                                                .clock = parts_.clock,
                                                .dates = parts_.dates,
                                                .send = send_,
                                                .store = parts_.store,
                                                .uplink = parts_.uplink,
                                                .supervisor = supervisor_actor{self_},
                                                .claimants = claimants_,
                                                .lines = lines_,
                                                .counted = parts_.counted,
                                                .tally = parts_.tally,
                                                .stored = stored});
    self_->monitor(actor);
    by_actor_.emplace(actor.id(), index);
    by_entity_.emplace(entity.text(), index);
    devices_.emplace(index, device_entry{entity.text(), std::move(actor)});
    return index;
  }

  void evict(device_entry& d) {
    keep_alive(d);
    d.evicting = true;
    ++evicting_;
    self_->send(d.actor, gw_evict{});
  }
  void keep_alive(device_entry& d) {
    if (d.evictable) evictable_.take(*std::exchange(d.evictable, {}));
  }
  bool make_room() {
    if (devices_.size() - evicting_ < parts_.rules->devices_max) return true;
    const auto next = evictable_.first();
    if (!next) return false;
    evict(devices_.at(*next));
    return true;
  }

  void remove(devices_t::iterator it) {
    keep_alive(it->second);
    if (it->second.evicting) --evicting_;
    self_->demonitor(it->second.actor.address());
    by_actor_.erase(it->second.actor.id());
    by_entity_.erase(it->second.entity);
    deadlines_.set(it->first, time_never);
    devices_.erase(it);
  }

  /// Closes the device's links, so that its PNE connects again. If the stored record has an open request or
  /// report for the server, a new actor starts at once, unless an earlier actor of this device died recently too.
  void died(const caf::down_msg& m) {
    if (stopping_) return;
    if (m.source == parts_.uplink.address())
      return parts_.failed("the server link ended; no key can be assigned");
    const auto who = by_actor_.find(m.source.id());
    if (who == by_actor_.end()) return;
    const auto at = devices_.find(who->second);
    const auto entity = at->second.entity;
    const auto number = at->first;
    ++deaths_;
    log::error(gateway_component, "device-died",
               "the actor of the device ended unexpectedly; the device continues from the stored record",
               {{"entity", entity}});
    for (auto it = routes_.begin(); it != routes_.end();) {
      if (it->second.device != number) {
        ++it;
        continue;
      }
      parts_.radios[it->first.transport].transport->disconnect(it->first.link);
      unproven_.remove(it->first);
      it = routes_.erase(it);
    }
    remove(at);
    parts_.tally->erase(entity);
    if (deaths_lately_.again(entity, clock())) return;
    auto record = parts_.store->load(entity_id::parse(entity).value());
    if (!record || !*record) return;
    parts_.tally->put_stored(**record, parts_.rules->device.rekey_override);
    const auto id = (*record)->entity;
    if (owes_server(**record)) spawn(id, std::move(**record));
  }

  void route(radio_event& e) {
    const gw_link link{e.transport, e.link};
    switch (e.kind) {
    case radio_event::kind_t::link_up: return begin_detection(link, e.text);
    case radio_event::kind_t::link_down: return forget(link, e.text);
    case radio_event::kind_t::message: return message(link, e.message);
    case radio_event::kind_t::peer_found: return connect(e);
    case radio_event::kind_t::connect_failed:
      return log::debug(gateway_component, "not-connected", e.text,
                        {{"transport", parts_.radios[e.transport].name}});
    case radio_event::kind_t::woke: return detect_again(e.transport, e.text);
    case radio_event::kind_t::failed:
      log::error(gateway_component, "radio-failed", e.text, {{"transport", parts_.radios[e.transport].name}});
      return parts_.failed(e.text);
    }
  }

  void connect(const radio_event& e) {
    const auto& floor = parts_.rules->validation.min_rssi;
    if (floor && e.rssi != 0 && e.rssi < *floor) return;
    if (routes_.size() >= parts_.rules->links_max) return;
    if (const auto asked = parts_.radios[e.transport].transport->connect(e.text); !asked)
      log::debug(gateway_component, "not-connected", asked.error().message());
  }

  /// Step 1 on a link whose device is not known.
  void begin_detection(gw_link link, const std::string& address) {
    if (!make_room_for_link()) {
      lines_->write(clock(), log::level::warn, "too-many-links",
                    "closing a new link: limits.links is reached",
                    {{"limit", std::to_string(parts_.rules->links_max)}});
      parts_.counted->links_refused.add();
      return parts_.radios[link.transport].transport->disconnect(link.link);
    }
    const auto now = clock();
    const auto& s = parts_.rules->device;
    const auto number = ++next_number_;
    auto probe = std::make_unique<detector>(s.gw, s.lowest_suite, s.answer_timeout, s.retries,
                                            parts_.nonces->fresh(now), crypto::system_entropy(), now);
    routes_[link] = {address, 0, std::move(probe), number, {}, metrics::presence{parts_.links_of(link)}};
    unproven_.add(link);
    by_number_[number] = link;
    detect(number, now);
  }

  /// Unverified links may use half of limits.links; over that a new link evicts a random one of them.
  bool make_room_for_link() {
    const std::size_t most = parts_.rules->links_max;
    if (routes_.size() < most && unproven_.size() < std::max<std::size_t>(most / 2, 1)) return true;
    const auto drawn = unproven_.draw(crypto::system_entropy());
    if (!drawn) return false;
    parts_.counted->links_evicted.add();
    parts_.radios[drawn->transport].transport->disconnect(drawn->link);
    forget(*drawn, "evicted: unverified, and a new link needs its place");
    return true;
  }

  /// A device woke up: detection on its links checks whether the same device still answers.
  void detect_again(std::uint64_t transport, const std::string& address) {
    std::vector<gw_link> links;
    for (const auto& [link, r] : routes_)
      if (link.transport == transport && r.device != 0 && r.address == address) links.push_back(link);
    for (const auto& link : links) {
      forget(link, "the device woke up");
      begin_detection(link, address);
    }
  }

  void detect(std::uint64_t number, time_point now) {
    const auto at = by_number_.find(number);
    if (at == by_number_.end()) return;
    const auto link = at->second;
    auto& peer = routes_[link];
    if (peer.probe->exhausted(now)) {
      lines_->write(now, log::level::info, "no-answer", "no device answers on this link; closing it",
                    {{"address", peer.address}});
      return parts_.radios[link.transport].transport->disconnect(link.link);
    }
    if (const auto dreq = peer.probe->poll_send(now)) {
      lines_->write(now, log::level::debug, "detecting", "EntityDiscoveryRequest sent",
                    {{"address", peer.address}, {"step", "1"}});
      send_(link.transport, link.link, *dreq);
    }
    detections_.set(number, peer.probe->next_deadline());
  }

  void message(gw_link link, bytes& message) {
    const auto it = routes_.find(link);
    if (it == routes_.end()) return;
    auto& peer = it->second;
    if (peer.device != 0) {
      if (!peer.waiting.add(link_messages_max)) return void(++dropped_);
      return self_->send(devices_.at(peer.device).actor, gw_frame{link, std::move(message), peer.waiting});
    }
    if (!peer.probe) return;  // the link is being closed
    std::string why;
    auto found = peer.probe->handle_frame(message, why);
    if (!found) return lines_->write(clock(), log::level::debug, "dropped", why, {{"address", peer.address}});
    forget_detection(peer);
    const auto index = device_of(found->entity);
    if (!index) return parts_.radios[link.transport].transport->disconnect(link.link);
    auto& device = devices_.at(*index);
    if (!device.waiting.add(new_links_max)) {
      ++dropped_;
      return parts_.radios[link.transport].transport->disconnect(link.link);
    }
    peer.device = *index;
    ++device.links;
    keep_alive(device);
    self_->send(device.actor, gw_detected{link, std::move(found->dreq), std::move(found->drsp),
                                          parts_.radios[link.transport].name, peer.address, device.waiting});
  }

  std::optional<std::uint64_t> device_of(const entity_id& entity) {
    if (const auto it = by_entity_.find(entity.text()); it != by_entity_.end()) return it->second;
    if (!make_room()) {
      parts_.counted->devices_refused.add();
      if (no_room_.due(clock(), "devices"))
        log::warn(gateway_component, "too-many-devices",
                  "a device is not served: limits.devices is reached and no device can be evicted",
                  {{"entity", entity.text()}, {"limit", std::to_string(parts_.rules->devices_max)}});
      return std::nullopt;
    }
    auto record = parts_.store->load(entity);
    if (!record) {
      log::error(gateway_component, "record-unreadable", record.error().message(),
                 {{"entity", entity.text()}});
      return std::nullopt;
    }
    device_record fresh;
    fresh.entity = entity;
    fresh.user = parts_.rules->device.user;
    return spawn(entity, *record ? std::move(**record) : std::move(fresh), record->has_value());
  }

  void forget_detection(route_t& peer) {
    detections_.set(peer.number, time_never);
    by_number_.erase(peer.number);
    peer.probe.reset();
  }

  void forget(gw_link link, const std::string& why) {
    unproven_.remove(link);
    const auto it = routes_.find(link);
    if (it == routes_.end()) return;
    if (it->second.device != 0) {
      auto& d = devices_.at(it->second.device);
      --d.links;
      lines_->write(clock(), log::level::debug, "link-down", why, {{"entity", d.entity}});
      self_->send(d.actor, gw_link_lost{link});
    } else {
      forget_detection(it->second);
    }
    routes_.erase(it);
  }

  void arm() {
    if (const auto t = armed_.arm(clock(), std::min(deadlines_.next(), detections_.next())))
      self_->delayed_send(supervisor_actor{self_}, t->wait, sup_timer{t->at});
  }

  supervisor_actor::pointer self_;
  supervisor_parts parts_;
  radio_send_fn send_;
  devices_t devices_;
  std::unordered_map<std::string, std::uint64_t> by_entity_;
  std::unordered_map<caf::actor_id, std::uint64_t> by_actor_;
  recent_deaths deaths_lately_;
  std::uint64_t next_device_ = 0, deaths_ = 0, dropped_ = 0;
  eviction_order evictable_;
  std::size_t evicting_ = 0;
  seldom no_room_;
  std::map<gw_link, route_t> routes_;
  std::unordered_map<std::uint64_t, gw_link> by_number_;
  std::uint64_t next_number_ = 0;
  unproven_links unproven_;
  std::shared_ptr<shared_claimants> claimants_ = std::make_shared<shared_claimants>();
  std::shared_ptr<unproven_lines> lines_ =
      std::make_shared<unproven_lines>(4 * static_cast<int>(parts_.rules->links_max));
  deadline_heap deadlines_, detections_;
  armed_timers armed_;
  bool stopping_ = false;
};

}  // namespace

supervisor_actor spawn_supervisor(caf::actor_system& system, supervisor_parts parts) {
  auto shared = std::make_shared<supervisor_parts>(std::move(parts));
  return system.spawn([shared](supervisor_actor::pointer self) -> supervisor_actor::behavior_type {
    report_exceptions(self, "supervisor");
    self->attach_functor([failed = shared->failed](const caf::error& why) {
      if (why) failed("the supervisor of the devices ended");
    });
    auto s = std::make_shared<supervisor>(self, std::move(*shared));
    return {
        [s](const sup_radio_ready&) { s->drain_inboxes(); },
        [s](const sup_deadline& m) { s->set_deadline(m); },
        [s](const sup_close_link& m) { s->close_link(m); },
        [s](const sup_link_proven& m) { s->link_proven(m); },
        [s](const sup_unneeded& m) { s->unneeded(m); },
        [s](const sup_evicted& m) { s->evicted(m); },
        [s](const sup_timer& m) { s->timer(m); },
        [s](const sup_settings& m) { s->settings(m); },
        [s](const sup_stats&) { return s->stats(); },
        [s](const sup_radios&) { return s->radios(); },
        [s, self](const sup_list&) { return gather(self, s->live(), s->stored()); },
        [s, self](const sup_show& m) -> caf::result<gw_view> {
          if (const auto device = s->find(m.entity)) return self->delegate(device, gw_describe{});
          return s->show_stored(m.entity);
        },
        [s](const sup_command& m) { return s->command(m); },
        [s](const sup_stop&) { return s->stop(); },
    };
  });
}

}  // namespace cpns::actors
