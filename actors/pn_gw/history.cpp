#include "actors/pn_gw/history.hpp"

#include <algorithm>
#include <boost/json.hpp>

#include "base/text.hpp"

namespace cpns::actors {
namespace {

using kind_t = protocol::gw_event::kind_t;

/// Of an entry, without its events: the lists, the index, the name and the last failure.
constexpr std::size_t entry_bytes = 512;

constexpr log::event_line write_failed{"record-not-written", log::level::error, "",
                                       "the record of the PNE could not be written"};

log::event_line line_of(const pne_history::event& e) {
  return e.kind ? protocol::describe_event(*e.kind) : write_failed;
}

bool is_failure(const pne_history::event& e) {
  return line_of(e).level >= log::level::warn || e.kind == kind_t::backing_off || e.kind == kind_t::rejected;
}

/// Makes room for `e` in a full ring.
void drop_one(std::vector<pne_history::event>& events, const pne_history::event& e) {
  auto oldest = events.begin();
  const auto is_unproven = [](const auto& other) { return other.unproven; };
  const auto unproven = static_cast<std::size_t>(std::count_if(events.begin(), events.end(), is_unproven));
  if (e.unproven && unproven >= pne_history::unproven_max)
    oldest = std::find_if(events.begin(), events.end(), is_unproven);
  else if (events.size() < pne_history::events_max)
    return;
  events.erase(oldest);
}

/// At most why_max bytes, and whole characters.
std::string cut(std::string why) {
  if (why.size() <= pne_history::why_max) return why;
  auto end = pne_history::why_max;
  while (end > 0 && (static_cast<unsigned char>(why[end]) & 0xc0U) == 0x80U) --end;
  why.resize(end);
  return why;
}

boost::json::object as_json(const pne_history::event& e) {
  const auto line = line_of(e);
  boost::json::object out{{"time", rfc3339_text(e.at)},
                          {"event", line.id},
                          {"level", log::name_of(line.level)},
                          {"text", e.why.empty() ? line.text : std::string_view{e.why}},
                          {"unverified", e.unproven}};
  if (e.epoch != 0) out["epoch"] = epoch::from_value(e.epoch).text();
  return out;
}

}  // namespace

void pne_history::add(const std::string& entity, event e, bool keyed) {
  if (line_of(e).level == log::level::debug) return;
  e.why = cut(std::move(e.why));
  std::lock_guard lock{guard_};
  const auto at = entry_of(entity, keyed);
  auto& recent = at->recent;
  if (is_failure(e)) recent.failure = e;
  drop_one(recent.events, e);
  recent.events.push_back(std::move(e));
  count_again(*at);
  shrink(keyed);
}

void pne_history::contact(const std::string& entity, time_point at) {
  std::lock_guard lock{guard_};
  if (const auto it = by_entity_.find(entity); it != by_entity_.end()) it->second->recent.seen = at;
}

void pne_history::forget(const std::string& entity) {
  std::lock_guard lock{guard_};
  if (const auto it = by_entity_.find(entity); it != by_entity_.end()) erase(it->second);
}

pne_history::past pne_history::of(const std::string& entity) const {
  std::lock_guard lock{guard_};
  const auto it = by_entity_.find(entity);
  return it == by_entity_.end() ? past{} : it->second->recent;
}

pne_history::bounds pne_history::held() const {
  std::lock_guard lock{guard_};
  return held_;
}

/// The entry at the end of its list, a new one if there is none.
pne_history::order::iterator pne_history::entry_of(const std::string& entity, bool keyed) {
  auto& to = list_of(keyed);
  if (const auto it = by_entity_.find(entity); it != by_entity_.end()) {
    const auto at = it->second;
    bytes_of(at->keyed) -= at->bytes;
    bytes_of(keyed) += at->bytes;
    to.splice(to.end(), list_of(at->keyed), at);
    at->keyed = keyed;
    return at;
  }
  const auto at = to.insert(to.end(), entry{entity, {}, keyed, 0});
  by_entity_.emplace(at->entity, at);
  return at;
}

void pne_history::count_again(entry& e) {
  std::size_t now = entry_bytes + e.recent.events.capacity() * sizeof(event);
  for (const auto& one : e.recent.events) now += one.why.capacity();
  bytes_of(e.keyed) = bytes_of(e.keyed) - e.bytes + now;
  e.bytes = now;
}

void pne_history::shrink(bool keyed) {
  const auto most = keyed ? most_.keyed : most_.strangers;
  while (bytes_of(keyed) > most && !list_of(keyed).empty()) erase(list_of(keyed).begin());
}

void pne_history::erase(order::iterator at) {
  bytes_of(at->keyed) -= at->bytes;
  by_entity_.erase(at->entity);
  list_of(at->keyed).erase(at);
}

void describe_past(boost::json::object& to, const pne_history::past& recent) {
  if (recent.seen) to["last_contact"] = rfc3339_text(*recent.seen);
  if (recent.failure) to["last_failure"] = as_json(*recent.failure);
  boost::json::array events;
  for (const auto& e : recent.events) events.emplace_back(as_json(e));
  to["events"] = std::move(events);
}

}  // namespace cpns::actors
