#include "server/return_calendar.hpp"

#include <algorithm>

namespace cpns::server {

std::uint32_t return_calendar::first_free(std::int64_t now, std::uint32_t from, std::uint32_t places) {
  for (auto wait = from; wait < horizon; ++wait) {
    auto& s = of(now + wait);
    if (s.at != now + wait) s = {now + wait, 0};
    if (s.taken < places) return wait;
  }
  return 0;
}

std::uint32_t return_calendar::take(steady::time_point at, std::uint32_t places) {
  const auto now = whole(at);
  const auto first = first_free(now, 1, places);
  if (first == 0) return horizon + static_cast<std::uint32_t>(random_() % (later + 1));
  // The longer the wait, the wider the spread.
  const auto spread = static_cast<std::uint32_t>(random_() % (first / 2 + 1));
  const auto found = first_free(now, first + spread, places);
  const auto wait = found == 0 ? first : found;
  ++of(now + wait).taken;
  return wait;
}

std::uint64_t return_calendar::taken(steady::time_point at) const {
  const auto now = whole(at);
  std::uint64_t n = 0;
  for (const auto& s : seconds_)
    if (s.at > now && s.at < now + horizon) n += s.taken;
  return n;
}

}  // namespace cpns::server
