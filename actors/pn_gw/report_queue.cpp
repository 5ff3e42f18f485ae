#include "actors/pn_gw/report_queue.hpp"

#include <algorithm>

namespace cpns::actors {

void report_queue::wait_until(const entity_id& entity, state& s, time_point due) {
  s.due = due;
  order_.emplace(due, entity);
}

void report_queue::add(time_point now, const entity_id& entity, epoch which) {
  const auto [at, fresh] = entries_.try_emplace(entity, state{which, now, 0});
  auto& s = at->second;
  if (!fresh) {
    if (s.which == which) return;
    s.which = which;
    s.tries = 0;
    order_.erase({s.due, entity});
  }
  if (in_flight_.count(entity) == 0) wait_until(entity, s, now);
}

std::vector<report_queue::entry> report_queue::take(time_point now, std::size_t most) {
  std::vector<entry> out;
  if (!in_flight_.empty()) return out;
  while (!order_.empty() && out.size() < most && order_.begin()->first <= now) {
    const auto entity = order_.begin()->second;
    order_.erase(order_.begin());
    const auto which = entries_.at(entity).which;
    in_flight_.emplace(entity, which);
    out.emplace_back(entity, which);
  }
  return out;
}

std::optional<epoch> report_queue::answered(const entity_id& entity) {
  const auto asked = in_flight_.find(entity);
  if (asked == in_flight_.end()) return std::nullopt;
  const auto which = asked->second;
  const auto at = entries_.find(entity);
  if (at->second.which != which) return std::nullopt;
  in_flight_.erase(asked);
  entries_.erase(at);
  return which;
}

void report_queue::unanswered(time_point now, seconds retry_after) {
  for (const auto& [entity, asked] : in_flight_) {
    auto& s = entries_.at(entity);
    if (s.which != asked) {
      wait_until(entity, s, now);
      continue;
    }
    const auto own = pause_min * (std::int64_t{1} << std::min(s.tries++, 10));
    wait_until(entity, s, now + std::min(std::max(own, retry_after), pause_max));
  }
  in_flight_.clear();
}

void report_queue::interrupted(time_point now) {
  for (const auto& [entity, asked] : in_flight_) wait_until(entity, entries_.at(entity), now);
  in_flight_.clear();
}

}  // namespace cpns::actors
