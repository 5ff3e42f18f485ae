#include "actors/pn_gw/history.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <string_view>

#include "base/text.hpp"

namespace cpns::actors {
namespace {

/// Of an entry, without its name and its events: the list and the index.
constexpr std::size_t entry_bytes = 128;

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

void pne_history::add(const shared_text& entity, std::span<const event> events, bool keyed, time_point seen) {
  const auto is_kept = [](const event& e) { return line_of(e).level != log::level::debug; };
  const bool any = std::any_of(events.begin(), events.end(), is_kept);
  if (!any && seen == time_zero) return;
  std::lock_guard lock{guard_};
  if (!any) {
    if (const auto it = by_entity_.find(entity); it != by_entity_.end()) (*it)->seen = seen;
    return;
  }
  const auto at = entry_of(entity, keyed);
  for (const auto& e : events)
    if (is_kept(e)) at->events.add(e);
  if (seen != time_zero) at->seen = seen;
  count_again(*at);
  shrink(keyed);
}

void pne_history::forget(std::string_view entity) {
  std::lock_guard lock{guard_};
  if (const auto it = by_entity_.find(entity); it != by_entity_.end()) erase(*it);
}

pne_history::past pne_history::of(std::string_view entity) const {
  std::lock_guard lock{guard_};
  const auto it = by_entity_.find(entity);
  if (it == by_entity_.end()) return {};
  const auto& e = **it;
  return {e.events.all(), e.events.failure(), e.seen == time_zero ? std::nullopt : std::optional{e.seen}};
}

pne_history::bounds pne_history::held() const {
  std::lock_guard lock{guard_};
  return held_;
}

/// The entry at the end of its list, a new one if there is none.
pne_history::order::iterator pne_history::entry_of(const shared_text& entity, bool keyed) {
  auto& to = list_of(keyed);
  if (const auto it = by_entity_.find(entity.view()); it != by_entity_.end()) {
    const auto at = *it;
    bytes_of(at->keyed) -= at->bytes;
    bytes_of(keyed) += at->bytes;
    to.splice(to.end(), list_of(at->keyed), at);
    at->keyed = keyed;
    return at;
  }
  const auto at = to.emplace(to.end());
  at->entity = entity;
  at->keyed = keyed;
  by_entity_.insert(at);
  return at;
}

void pne_history::count_again(entry& e) {
  const auto now = entry_bytes + e.entity.bytes() + e.events.bytes();
  bytes_of(e.keyed) = bytes_of(e.keyed) - e.bytes + now;
  e.bytes = static_cast<std::uint32_t>(now);
}

void pne_history::shrink(bool keyed) {
  const auto most = keyed ? most_.keyed : most_.strangers;
  while (bytes_of(keyed) > most && !list_of(keyed).empty()) erase(list_of(keyed).begin());
}

void pne_history::erase(order::iterator at) {
  bytes_of(at->keyed) -= at->bytes;
  by_entity_.erase(at);
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
