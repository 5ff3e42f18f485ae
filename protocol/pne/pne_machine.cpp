#include "protocol/pne/pne_machine.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "protocol/pne/pne_impl.hpp"

namespace cpns::protocol {
namespace {

pne_trigger rest_of(const pne_record& r) {
  if (r.pending) return pne_trigger::rest_pending;
  return r.current ? pne_trigger::rest_keyed : pne_trigger::rest_unkeyed;
}

constexpr milliseconds hint_interval{1000};
// A KDEL costs one X25519 and one AEAD operation per open context, so their rate is limited.
constexpr milliseconds opening_interval{250};
constexpr int opening_burst = 8;

}  // namespace

pne_peer::pne_peer(pne_link which)
    : link(which), answers(answer_interval, answer_burst), hints(hint_interval, 1),
      openings(opening_interval, opening_burst) {
  contexts.reserve(context_count);
}

pne_machine::impl::impl(pne_settings settings_in, pne_record record_in, const crypto::suite& s_in,
                        entropy& random_in, time_point now)
    : settings(std::move(settings_in)), record(std::move(record_in)), s(s_in), random(random_in),
      windows_since(now) {
  fire(rest_of(record), now);
}

// The only writer of the state.
void pne_machine::impl::fire(pne_trigger t, time_point now) {
  const auto& row = fsm::find(pne_table, state, t);
  if (row.what == fsm::verdict::accept && row.to != state && log::enabled(log::level::debug, "pne"))
    log::debug("pne", "state", std::string{name_of(state)} + " -> " + std::string{name_of(row.to)},
               {{"entity", settings.entity.text()}, {"trigger", std::string{name_of(t)}}});
  if (row.what == fsm::verdict::accept) state = row.to;
  perform(row.action, now);
}

void pne_machine::impl::perform(pne_action a, time_point now) {
  using note = pne_notice::kind_t;
  switch (a) {
  case pne_action::none: return;
  case pne_action::drop: return drop(now);
  case pne_action::answer: return answer(now);
  case pne_action::answer_again: return void(outputs.emplace_back(pne_send{about.context->drsp}));
  case pne_action::store_and_confirm: return store_and_confirm();
  case pne_action::confirm_again:
    return void(outputs.emplace_back(pne_send{std::get<used_context>(about.context->use).kcnf}));
  case pne_action::retire: return retire();
  case pne_action::open_windows: windows_since = now; return;
  case pne_action::open_windows_and_note:
    windows_since = now;
    return void(outputs.emplace_back(pne_send{encode(pne_notice{note::awake})}));
  case pne_action::forget_and_note:
    forget_contexts();
    return void(outputs.emplace_back(pne_send{encode(pne_notice{note::going_to_sleep})}));
  case pne_action::erase: windows_since = now; return erase();
  case pne_action::count_: return;
  }
}

/// Over the bound, evicts the peer that was silent longest, but never the holder.
pne_peer& pne_machine::impl::peer_of(pne_link link) {
  const auto at =
      std::find_if(peers.begin(), peers.end(), [link](const pne_peer& p) { return p.link == link; });
  if (at != peers.end()) {
    peers.splice(peers.end(), peers, at);
    return peers.back();
  }
  if (peers.size() >= pne_links_max)
    peers.erase(
        std::find_if(peers.begin(), peers.end(), [this](const pne_peer& p) { return holder != p.link; }));
  return peers.emplace_back(link);
}

void pne_machine::impl::forget_contexts() {
  for (auto& p : peers) p.contexts.clear();
}

bool pne_machine::impl::any_open(const pne_peer& p) {
  return std::any_of(p.contexts.begin(), p.contexts.end(), [](const pne_context& c) { return c.is_open(); });
}

bool pne_machine::impl::any_open() const {
  return std::any_of(peers.begin(), peers.end(), [](const pne_peer& p) { return any_open(p); });
}

/// Leaves `answering` when no context is open.
void pne_machine::impl::rest(time_point now) {
  if (state == pne_state::answering && !any_open()) fire(rest_of(record), now);
}

void pne_machine::impl::handle_timeout(time_point now) {
  for (auto& p : peers) std::erase_if(p.contexts, [now](const pne_context& c) { return c.expires <= now; });
  rest(now);
}

void pne_machine::impl::handle_link_down(time_point now, pne_link link) {
  peers.remove_if([link](const pne_peer& p) { return p.link == link; });
  if (holder == link) holder.reset();
  about = {};
  rest(now);
}

time_point pne_machine::impl::next_deadline() const {
  time_point first = time_never;
  for (const auto& p : peers)
    for (const auto& c : p.contexts) first = std::min(first, c.expires);
  return first;
}

std::optional<pne_output> pne_machine::impl::poll_output() {
  if (in_flight) {
    // The driver polls again, so the write is durable: a later failed write falls back to this record.
    const bool more = std::any_of(outputs.begin(), outputs.end(),
                                  [](const pne_output& o) { return std::holds_alternative<pne_persist>(o); });
    if (more)
      saved = std::move(in_flight);
    else
      saved.reset();
    in_flight.reset();
  }
  if (outputs.empty()) return std::nullopt;
  auto out = std::move(outputs.front());
  outputs.pop_front();
  if (const auto* p = std::get_if<pne_persist>(&out)) in_flight = p->record;
  return out;
}

void pne_machine::impl::handle_persist_failed(time_point now) {
  if (!in_flight) return;
  in_flight.reset();
  outputs.clear();
  forget_contexts();
  if (saved) record = std::move(*saved);
  saved.reset();
  emit(pne_event::kind_t::rejected, {}, "the write to the key store failed; the former record stays valid");
  fire(rest_of(record), now);
}

// ---- the public interface

pne_machine::pne_machine(pne_settings settings, pne_record record, const crypto::suite& s, entropy& random,
                         time_point now)
    : impl_(std::make_unique<impl>(std::move(settings), std::move(record), s, random, now)) {}
pne_machine::~pne_machine() = default;
pne_machine::pne_machine(pne_machine&&) noexcept = default;
pne_machine& pne_machine::operator=(pne_machine&&) noexcept = default;

void pne_machine::handle_frame(time_point now, pne_link link, byte_view message) {
  impl_->handle_frame(now, link, message);
}
void pne_machine::handle_link_down(time_point now, pne_link link) { impl_->handle_link_down(now, link); }
void pne_machine::handle_timeout(time_point now) { impl_->handle_timeout(now); }
void pne_machine::handle_wake(time_point now) { impl_->fire(pne_trigger::wake, now); }
void pne_machine::handle_sleep(time_point now) {
  impl_->fire(pne_trigger::sleep, now);
  impl_->handle_timeout(now);
}
void pne_machine::handle_button(time_point now) { impl_->fire(pne_trigger::button, now); }
void pne_machine::handle_factory_reset(time_point now) { impl_->fire(pne_trigger::factory_reset, now); }
void pne_machine::handle_persist_failed(time_point now) { impl_->handle_persist_failed(now); }
time_point pne_machine::next_deadline() const { return impl_->next_deadline(); }
std::optional<pne_output> pne_machine::poll_output() { return impl_->poll_output(); }
pne_state pne_machine::state() const { return impl_->state; }
std::optional<epoch> pne_machine::current_epoch() const {
  const auto* key = impl_->record.highest();
  return key != nullptr ? std::optional<epoch>{key->which} : std::nullopt;
}
const pne_record& pne_machine::record() const { return impl_->record; }
std::uint64_t pne_machine::dropped() const { return impl_->dropped; }

}  // namespace cpns::protocol
