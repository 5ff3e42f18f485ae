#include "actors/pn_gw/gateway_metrics.hpp"

#include <algorithm>
#include <cstddef>
#include <future>
#include <iterator>

#include "actors/pn_gw/views.hpp"
#include "protocol/pn_gw/pn_gw_table.hpp"

namespace cpns::actors {
namespace {

constexpr protocol::link_status every_status[] = {
#define CPNS_X(id, number, meaning) protocol::link_status::id,
    CPNS_LINK_STATUSES(CPNS_X)
#undef CPNS_X
};

constexpr protocol::gw_event::kind_t every_event[] = {
#define CPNS_X(name, id, loudness, step, text) protocol::gw_event::kind_t::name,
    CPNS_GW_EVENTS(CPNS_X)
#undef CPNS_X
};

constexpr std::string_view pne_states[] = {not_in_reach,
#define CPNS_X(id, meaning) #id,
                                           CPNS_PN_GW_STATES(CPNS_X)
#undef CPNS_X
};

/// Its place among the states.
std::uint8_t state_number(std::string_view state) {
  const auto* at = std::find(std::begin(pne_states), std::end(pne_states), state);
  return static_cast<std::uint8_t>(at == std::end(pne_states) ? 0 : at - pne_states);
}

/// Of a stored device without an actor, as describe_stored has it.
std::string_view stored_state(protocol::device_standing standing) {
  using protocol::device_standing;
  using protocol::pn_gw_state;
  switch (standing) {
  case device_standing::normal: break;
  case device_standing::held_elsewhere: return name_of(pn_gw_state::held_elsewhere);
  case device_standing::quarantined: return name_of(pn_gw_state::quarantined);
  case device_standing::rejected: return name_of(pn_gw_state::rejected);
  case device_standing::revoked: return name_of(pn_gw_state::revoked);
  }
  return not_in_reach;
}

/// Of a device with a key, as of pne_facts.
std::int64_t due_of(std::int64_t keyed_since, std::uint32_t rekey_seconds, std::optional<seconds> rekey) {
  const auto interval = rekey.value_or(seconds{rekey_seconds});
  if (interval <= seconds::zero()) return 0;
  return keyed_since + std::chrono::duration_cast<milliseconds>(interval).count();
}

}  // namespace

server_link_metrics::server_link_metrics(metrics::registry& in)
    : enrolled(in.make_gauge(
          "cpns_gateway_enrolled",
          "1: the server accepted the password of the user. 0: not yet, or it rejects it now.")),
      connected_(in.make_gauge("cpns_gateway_server_up", "1: the gateway is connected to a server.")),
      connections_(in.make_counter("cpns_gateway_server_connections_total",
                                   "Connections to a server after which both sides were authenticated.")) {
  const auto end = [&in](const char* kind) {
    return in.make_counter(
        "cpns_gateway_server_ends_total",
        "Connections and attempts to connect that ended: planned by the server, or by a fault.",
        {{"kind", kind}});
  };
  planned_ = end("planned");
  faults_ = end("fault");
  const auto outcome = [&in](std::string_view name) {
    return in.make_counter(
        "cpns_gateway_assignments_total",
        "Requests for keys by outcome: ok, the status of the server's refusal, or unanswered.",
        {{"outcome", std::string{name}}});
  };
  for (const auto s : every_status) outcomes_.at(static_cast<std::size_t>(s)) = outcome(name_of(s));
  unanswered = outcome("unanswered");
}

void server_link_metrics::up() const {
  connected_.set(1);
  connections_.add();
}
void server_link_metrics::down(bool planned) const {
  connected_.set(0);
  (planned ? planned_ : faults_).add();
}
void server_link_metrics::answered(const decltype(protocol::link_answer::body)& body) const {
  const auto* no = std::get_if<protocol::refusal>(&body);
  const auto at = static_cast<std::size_t>(no != nullptr ? no->status : protocol::link_status::ok);
  if (at < outcomes_.size()) outcomes_[at].add();
}

supervisor_metrics::supervisor_metrics(metrics::registry& in) {
  for (const auto e : every_event)
    events_.at(static_cast<std::size_t>(e)) =
        in.make_counter("cpns_gateway_events_total", "Events of PNEs, by their name in the log.",
                        {{"event", std::string{describe_event(e).id}}});
  const auto refused = [&in](const char* why) {
    return in.make_counter(
        "cpns_gateway_strangers_refused_total",
        "Links and PNEs that were refused because a limit was reached: links (limits.links), evicted "
        "(an unverified link made room for another one), devices (limits.devices).",
        {{"limit", why}});
  };
  links_refused = refused("links");
  links_evicted = refused("evicted");
  devices_refused = refused("devices");
}

void supervisor_metrics::happened(protocol::gw_event::kind_t kind) const {
  events_.at(static_cast<std::size_t>(kind)).add();
}

pne_facts facts_of(const protocol::device_record& r, std::string_view state, bool in_reach,
                   std::optional<seconds> rekey) {
  return {state, static_cast<std::uint32_t>(r.unused_count()),
          r.own() != nullptr ? due_of(r.keyed_since, r.rekey_seconds, rekey) : 0, in_reach};
}

pne_facts facts_of(const protocol::device_summary& s, std::optional<seconds> rekey) {
  return {stored_state(s.standing), s.unused_keys,
          s.keyed ? due_of(s.keyed_since, s.rekey_seconds, rekey) : 0, false};
}

pne_tally::kept pne_tally::pack(const pne_facts& facts) {
  return {facts.due, facts.unused_keys, state_number(facts.state), facts.in_reach};
}
void pne_tally::put(const shared_text& entity, const pne_facts& facts) {
  const std::lock_guard lock{guard_};
  pnes_.insert_or_assign(entity, pack(facts));
}
void pne_tally::put_all(std::vector<std::pair<shared_text, pne_facts>> pnes) {
  const auto by_name = [](const auto& a, const auto& b) { return a.first.view() < b.first.view(); };
  const auto middle = pnes.begin() + static_cast<std::ptrdiff_t>(pnes.size() / 2);
  auto first_half = std::async(std::launch::async, [&] { std::sort(pnes.begin(), middle, by_name); });
  std::sort(middle, pnes.end(), by_name);
  first_half.get();
  std::inplace_merge(pnes.begin(), middle, pnes.end(), by_name);
  const std::lock_guard lock{guard_};
  for (auto& [entity, facts] : pnes) pnes_.insert_or_assign(std::move(entity), pack(facts));
}
void pne_tally::put_stored(const protocol::device_record& r, std::optional<seconds> rekey) {
  put(shared_text{r.entity.text()}, facts_of(r, stored_state(r.standing), false, rekey));
}
void pne_tally::out_of_memory(std::string_view entity) {
  const std::lock_guard lock{guard_};
  const auto it = pnes_.find(entity);
  if (it == pnes_.end()) return;
  it->second.state = state_number(not_in_reach);
  it->second.in_reach = false;
}
void pne_tally::set_due(std::string_view entity, std::int64_t due) {
  const std::lock_guard lock{guard_};
  if (const auto it = pnes_.find(entity); it != pnes_.end()) it->second.due = due;
}
void pne_tally::erase(std::string_view entity) {
  const std::lock_guard lock{guard_};
  pnes_.erase(entity);
}
shared_text pne_tally::name_of(std::string_view entity) const {
  const std::lock_guard lock{guard_};
  const auto it = pnes_.find(entity);
  return it == pnes_.end() ? shared_text{entity} : it->first;
}

std::vector<std::string> pne_tally::names(const std::string& prefix, const std::string& after,
                                          std::size_t count) const {
  std::vector<std::string> out;
  const std::lock_guard lock{guard_};
  auto it = prefix > after ? pnes_.lower_bound(prefix) : pnes_.upper_bound(after);
  for (; it != pnes_.end() && out.size() < count && it->first.view().starts_with(prefix); ++it)
    out.push_back(it->first.text());
  return out;
}

void pne_tally::add_to(metrics::sheet& to, time_point now) const {
  std::array<std::size_t, std::size(pne_states)> states{};
  std::size_t due = 0, late = 0, low = 0, unused = 0;
  const auto at = unix_milliseconds(now);
  {
    const std::lock_guard lock{guard_};
    for (const auto& [entity, p] : pnes_) {
      ++states[p.state];
      unused += p.unused_keys;
      if (p.due == 0) continue;
      low += p.unused_keys < low_water_ ? 1 : 0;
      due += at >= p.due ? 1 : 0;
      late += p.in_reach && at >= p.due + update_grace.count() ? 1 : 0;
    }
  }
  for (std::size_t i = 0; i < states.size(); ++i)
    to.gauge("cpns_gateway_pnes", "PNEs by state; not_in_reach: stored, and not seen since the start.",
             static_cast<double>(states[i]), {{"state", std::string{pne_states[i]}}});
  to.gauge("cpns_gateway_keys_unused", "Keys of all PNEs that were not delivered yet.",
           static_cast<double>(unused));
  to.gauge("cpns_gateway_pnes_low_on_keys",
           "PNEs with fewer unused keys than rekey.low_water: the server should have assigned more.",
           static_cast<double>(low));
  to.gauge("cpns_gateway_updates_due", "PNEs whose key is older than its interval, in reach or not.",
           static_cast<double>(due));
  to.gauge("cpns_gateway_updates_late", "PNEs in reach whose update is due for more than 10 minutes.",
           static_cast<double>(late));
}

}  // namespace cpns::actors
