#include "tests/actors/pn_gw_air.hpp"

#include <algorithm>

namespace cpns::gateway_actor_tests {

headset_end& air::add(entity_id entity, const secret32& temporary_key) {
  protocol::pne_settings s;
  s.entity = std::move(entity);
  s.temporary_key = temporary_key;
  all_.push_back(std::make_unique<headset_end>(std::move(s), random_, now_));
  all_.back()->address = "air-" + std::to_string(all_.size());
  return *all_.back();
}

void air::link_up(headset_end& h) {
  h.link = ++last_link_;
  inbox->link_up(h.link, 0, h.address);
}

void air::link_down(headset_end& h) {
  h.machine.handle_link_down(now_, {0, h.link});
  inbox->link_down(std::exchange(h.link, 0), "out of reach");
  h.machine.handle_sleep(now_);
  (void)apply(h);
}

void air::leave_half_open(headset_end& h) {
  h.machine.handle_link_down(now_, {0, std::exchange(h.link, 0)});
  (void)apply(h);
}

bool air::step() {
  for (auto& h : all_) {
    if (h->machine.next_deadline() > now_) continue;
    h->machine.handle_timeout(now_);
    (void)apply(*h);
  }
  if (in_flight_.empty()) return false;
  auto m = std::move(in_flight_.front());
  in_flight_.pop_front();
  for (auto& h : all_)
    if (h->link == m.first) {
      h->machine.handle_frame(now_, {0, m.first}, m.second);
      return apply(*h);
    }
  if (elsewhere) elsewhere(m.first, m.second);
  return true;
}

time_point air::next_deadline() const {
  auto next = time_never;
  for (const auto& h : all_) next = std::min(next, h->machine.next_deadline());
  return next;
}

status air::connect(std::string_view address) {
  connects.emplace_back(address);
  return {};
}

status air::send(plugins::link_id link, byte_view message) {
  if (breaks && breaks(message)) throw std::runtime_error("the radio of this test breaks");
  if (!loses || !loses(way::to_pne, message)) in_flight_.emplace_back(link, to_bytes(message));
  return {};
}

void air::disconnect(plugins::link_id link) {
  disconnected.push_back(link);
  for (auto& h : all_)
    if (h->link == link) return link_down(*h);
  if (elsewhere) elsewhere(link, {});
}

bool air::apply(headset_end& h) {
  while (auto o = h.machine.poll_output()) {
    if (auto* p = std::get_if<protocol::pne_persist>(&*o)) h.stored = p->record;
    if (auto* s = std::get_if<protocol::pne_send>(&*o))
      if (h.link != 0 && (!loses || !loses(way::to_gateway, s->message)))
        inbox->message(h.link, std::move(s->message));
  }
  return true;
}

}  // namespace cpns::gateway_actor_tests
