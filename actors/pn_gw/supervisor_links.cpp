// Radios, links, and detection on them.
#include <algorithm>

#include "actors/pn_gw/supervisor_impl.hpp"
#include "base/log.hpp"
#include "crypto/suite.hpp"

namespace cpns::actors {

using namespace protocol;

void supervisor_state::drain_inboxes() {
  if (stopping_) return;
  for (auto& r : parts_.radios)
    for (auto& e : r.inbox->take()) route(e);
  go_on_with_unfinished();
  drops_.write(clock(), gateway_component, dropped());
  arm();
}

std::uint64_t supervisor_state::dropped() const {
  std::uint64_t out = 0;
  for (const auto& r : parts_.radios) out += r.inbox->dropped();
  return out;
}

void supervisor_state::close_link(const sup_close_link& m) {
  lines_->write(clock(), log::level::info, "link-closed", m.why,
                {{"transport", parts_.radios[m.link.transport].name}, {"link", std::to_string(m.link.link)}});
  parts_.radios[m.link.transport].transport->disconnect(m.link.link);
}

void supervisor_state::route(radio_event& e) {
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

void supervisor_state::connect(const radio_event& e) {
  const auto& floor = parts_.rules->validation.min_rssi;
  if (floor && e.rssi != 0 && e.rssi < *floor) return;
  if (routes_.size() >= parts_.rules->links_max) return;
  if (const auto asked = parts_.radios[e.transport].transport->connect(e.text); !asked)
    log::debug(gateway_component, "not-connected", asked.error().message());
}

/// Step 1 on a link whose device is not known, when it is its turn.
void supervisor_state::begin_detection(gw_link link, const std::string& address) {
  if (!make_room_for_link()) {
    lines_->write(clock(), log::level::warn, "too-many-links", "closing a new link: limits.links is reached",
                  {{"limit", std::to_string(parts_.rules->links_max)}});
    parts_.counted->links_refused.add();
    return parts_.radios[link.transport].transport->disconnect(link.link);
  }
  routes_[link] = {shared_text{address}, 0, nullptr, {}, metrics::presence{parts_.links_of(link)}};
  unproven_.add(link);
  begin_turns();
}

void supervisor_state::begin_turns() {
  const auto now = clock();
  const auto& s = parts_.rules->device;
  while (const auto link = unproven_.next(now, crypto::system_entropy())) {
    auto& route = routes_.at(*link);
    const auto number = ++next_number_;
    route.detecting = std::make_unique<detection>(
        detection{number, detector{s.gw, s.lowest_suite, s.answer_timeout, s.retries,
                                   parts_.nonces->fresh(now), crypto::system_entropy(), now}});
    by_number_[number] = *link;
    detect(number, now);
  }
}

void supervisor_state::link_proven(const sup_link_proven& m) {
  unproven_.proven(clock(), m.link);
  arm();
}

void supervisor_state::link_judged(const sup_link_judged& m) {
  unproven_.judged(m.link);
  arm();
}

/// Unverified links may use half of limits.links; over that a new link evicts one of them.
bool supervisor_state::make_room_for_link() {
  const std::size_t most = parts_.rules->links_max;
  if (routes_.size() < most && unproven_.size() < std::max<std::size_t>(most / 2, 1)) return true;
  const auto drawn = unproven_.draw(clock(), crypto::system_entropy());
  if (!drawn) return false;
  parts_.counted->links_evicted.add();
  parts_.radios[drawn->transport].transport->disconnect(drawn->link);
  forget(*drawn, "evicted: unverified, and a new link needs its place");
  return true;
}

/// A device woke up: detection on its links checks whether the same device still answers.
void supervisor_state::detect_again(std::uint64_t transport, const std::string& address) {
  std::vector<gw_link> links;
  for (const auto& [link, r] : routes_)
    if (link.transport == transport && r.device != 0 && r.address.view() == address) links.push_back(link);
  for (const auto& link : links) {
    forget(link, "the device woke up");
    begin_detection(link, address);
  }
}

void supervisor_state::detect(std::uint64_t number, time_point now) {
  const auto at = by_number_.find(number);
  if (at == by_number_.end()) return;
  const auto link = at->second;
  auto& peer = routes_.at(link);
  auto& probe = peer.detecting->probe;
  if (probe.exhausted(now)) {
    lines_->write(now, log::level::info, "no-answer", "no device answers on this link; closing it",
                  {{"address", peer.address.text()}});
    return parts_.radios[link.transport].transport->disconnect(link.link);
  }
  if (const auto dreq = probe.poll_send(now)) {
    lines_->write(now, log::level::debug, "detecting", "EntityDiscoveryRequest sent",
                  {{"address", peer.address.text()}, {"step", "1"}});
    send_(link.transport, link.link, *dreq);
  }
  detections_.set(number, probe.next_deadline());
}

void supervisor_state::message(gw_link link, bytes& message) {
  const auto it = routes_.find(link);
  if (it == routes_.end()) return;
  auto& peer = it->second;
  if (peer.device != 0) {
    auto held = mailboxes_.take(message.size());
    if (!held || !peer.waiting.add(link_messages_max)) return drop(link);
    return tell(peer.device, gw_frame{link, std::move(message), peer.waiting, std::move(held)});
  }
  if (!peer.detecting) return;  // it is not its turn, or it is being closed
  std::string why;
  auto found = peer.detecting->probe.handle_frame(message, why);
  if (!found)
    return lines_->write(clock(), log::level::debug, "dropped", why, {{"address", peer.address.text()}});
  forget_detection(peer);
  unproven_.answered(clock(), link);
  const auto index = device_of(found->entity);
  if (!index) return parts_.radios[link.transport].transport->disconnect(link.link);
  auto& device = devices_.at(*index);
  if (!device.work) device.work = std::make_unique<at_work>();
  auto& waiting = device.work->waiting;
  if (!waiting.add(new_links_max)) {
    drop(link);
    return parts_.radios[link.transport].transport->disconnect(link.link);
  }
  peer.device = *index;
  ++device.links;
  keep_alive(device);
  going_on_.erase(*index);
  tell(*index, gw_detected{link, std::move(found->dreq), std::move(found->drsp),
                           parts_.radios[link.transport].name, peer.address.text(), waiting});
}

std::optional<std::uint64_t> supervisor_state::device_of(const entity_id& entity) {
  if (const auto it = by_entity_.find(entity.text()); it != by_entity_.end()) return it->second;
  if (!make_room()) {
    parts_.counted->devices_refused.add();
    if (no_room_.due(clock(), "devices"))
      log::warn(gateway_component, "too-many-devices",
                "a device is not served: limits.devices is reached and no device can be evicted",
                {{"entity", entity.text()}, {"limit", std::to_string(parts_.rules->devices_max)}});
    return std::nullopt;
  }
  auto stored = parts_.store->read(entity);
  if (!stored) {
    log::error(gateway_component, "record-unreadable", stored.error().message(), {{"entity", entity.text()}});
    return std::nullopt;
  }
  return spawn(entity, *std::move(stored));
}

void supervisor_state::forget_detection(route_t& peer) {
  if (!peer.detecting) return;
  detections_.set(peer.detecting->number, time_never);
  by_number_.erase(peer.detecting->number);
  peer.detecting.reset();
}

void supervisor_state::forget(gw_link link, const std::string& why) {
  unproven_.remove(link);
  const auto it = routes_.find(link);
  if (it == routes_.end()) return;
  if (it->second.device != 0) {
    auto& d = devices_.at(it->second.device);
    --d.links;
    lines_->write(clock(), log::level::debug, "link-down", why, {{"entity", d.entity.text()}});
    tell(it->second.device, gw_link_lost{link});
  } else {
    forget_detection(it->second);
  }
  routes_.erase(it);
}

}  // namespace cpns::actors
