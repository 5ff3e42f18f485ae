#include "transports/ble/slots.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace cpns::ble {
namespace {

using namespace std::chrono_literals;

constexpr auto fresh_for = 5s;     // an older advertisement does not show that the peer is present
constexpr auto report_again = 1s;  // the host may want the peer now
constexpr auto forget_after = 120s;
constexpr auto settled = 30s;        // a link that lived this long resets the back-off
constexpr auto wake_interval = 10s;  // a peer that claims a wake-up in every advertisement gains nothing
constexpr auto first_pause = 1s;
constexpr unsigned doublings_max = 6;
constexpr std::size_t peers_max = 1024;
constexpr int busy_factor = 10;  // a busy link may be closed after this many idle times

}  // namespace

bool slots::heard(time now, const std::string& name, std::uint16_t tag) {
  auto it = peers_.find(name);
  if (it == peers_.end()) {
    forget_old(now);
    if (peers_.size() >= peers_max) return false;
    it = peers_.emplace(name, peer{}).first;
    it->second.waiting_since = now;
    it->second.woke = true;
    it->second.tag = tag;
  }
  auto& p = it->second;
  p.seen = now;
  // A new tag that arrives too early counts when it arrives again later.
  if (p.tag != tag && p.at == state::unlinked && now - p.woke_at > wake_interval) {
    p.tag = tag;
    p.woke_at = now;
    p.woke = true;
    p.failures = 0;
    p.not_before = p.rests_until = {};
  }
  if (p.at != state::unlinked || now < p.not_before || now - p.reported < report_again) return false;
  p.reported = now;
  return true;
}

bool slots::want(const std::string& name) {
  const auto it = peers_.find(name);
  if (it == peers_.end() || it->second.seen == time{}) return false;
  if (it->second.at == state::unlinked) it->second.wanted = true;
  return true;
}

bool slots::unwant(const std::string& name) {
  const auto it = peers_.find(name);
  return it != peers_.end() && std::exchange(it->second.wanted, false);
}

bool slots::waits(const peer& p, time now) const {
  return p.at == state::unlinked && p.wanted && now - p.seen <= fresh_for && now >= p.not_before;
}

std::optional<std::string> slots::next(time now) {
  if (used() >= links_) return std::nullopt;
  auto best = peers_.end();
  const auto rank = [&](const peer& p) { return std::tuple{!p.woke, p.rests_until > now, p.waiting_since}; };
  for (auto it = peers_.begin(); it != peers_.end(); ++it) {
    if (it->second.at == state::connecting) return std::nullopt;
    if (!waits(it->second, now)) continue;
    if (best == peers_.end() || rank(it->second) < rank(best->second)) best = it;
  }
  if (best == peers_.end()) return std::nullopt;
  best->second.at = state::connecting;
  best->second.wanted = best->second.woke = false;
  return best->first;
}

void slots::up(time now, const std::string& name) {
  const auto it = peers_.find(name);
  if (it == peers_.end()) return;
  it->second.at = state::up;
  it->second.up_since = it->second.busy = now;
}

void slots::traffic(time now, const std::string& name) {
  if (const auto it = peers_.find(name); it != peers_.end()) it->second.busy = now;
}

void slots::ended(time now, const std::string& name, bool failed) {
  const auto it = peers_.find(name);
  if (it == peers_.end()) return;
  auto& p = it->second;
  if (p.at == state::up && now - p.up_since >= settled) p.failures = 0;
  p.at = state::ending;
  p.not_before = failed ? now + first_pause * (1 << std::min(p.failures++, doublings_max)) : now;
  if (!failed) p.failures = 0;
}

void slots::freed(time now, const std::string& name) {
  const auto it = peers_.find(name);
  if (it == peers_.end() || it->second.at == state::unlinked) return;
  it->second.at = state::unlinked;
  it->second.waiting_since = now;
  it->second.seen = it->second.reported = {};  // advertisements before the link are out of date
}

slots::time slots::may_end(const peer& p) const {
  return std::min(p.busy + idle_, p.up_since + busy_factor * idle_);
}

bool slots::is_contended(time now) const {
  return used() >= links_ && std::any_of(peers_.begin(), peers_.end(), [&](const auto& entry) {
           return waits(entry.second, now) && entry.second.rests_until <= now;
         });
}

std::optional<std::string> slots::give_up(time now) {
  if (!is_contended(now)) return std::nullopt;
  auto oldest = peers_.end();
  for (auto it = peers_.begin(); it != peers_.end(); ++it) {
    // One at a time: the ending link may free enough.
    if (it->second.at == state::ending) return std::nullopt;
    if (it->second.at != state::up || may_end(it->second) > now) continue;
    if (oldest == peers_.end() || it->second.up_since < oldest->second.up_since) oldest = it;
  }
  if (oldest == peers_.end()) return std::nullopt;
  ended(now, oldest->first, false);
  oldest->second.rests_until = now + rest_;
  return oldest->first;
}

std::optional<slots::time> slots::next_deadline(time now) const {
  std::optional<time> out;
  const bool contended = is_contended(now);
  for (const auto& [name, p] : peers_)
    if (p.at == state::up && contended) out = std::min(out.value_or(time::max()), may_end(p));
  return out;
}

std::size_t slots::used() const {
  return static_cast<std::size_t>(std::count_if(
      peers_.begin(), peers_.end(), [](const auto& entry) { return entry.second.at != state::unlinked; }));
}

void slots::forget_old(time now) {
  std::erase_if(peers_, [&](const auto& entry) {
    const auto& p = entry.second;
    return p.at == state::unlinked && now - p.seen > forget_after && now - p.waiting_since > forget_after;
  });
}

}  // namespace cpns::ble
