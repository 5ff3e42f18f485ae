#include "server/admission.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace cpns::server {
namespace {

/// A sample of the rate, at least: longer than a usual write of the store. The jobs of a write end together.
constexpr milliseconds sample{250};
constexpr double weight_of_sample = 0.3;
/// Of the rate, that refused requests may use when they come back; the rest is for new ones.
constexpr double share_of_returns = 0.25;
constexpr std::size_t waiting_least = 32;
constexpr std::uint32_t returns_least = 64;  ///< in a second

double in_seconds(steady::duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

void work_place::leave() {
  if (const auto a = std::exchange(of_, {})) a->leave();
}

std::size_t admission::budget(double per_second, const bounds& most) {
  if (per_second <= 0) return std::max(waiting_least, most.in_work);
  return std::max(waiting_least, static_cast<std::size_t>(per_second * in_seconds(most.longest_wait)));
}

/// Half of the budget is for the first requests that come. The other half is for gateways that have not yet their share of
/// all, at least one request, so that a gateway is let in however many requests others have sent.
bool admission::may_wait(std::size_t own, const bounds& most) const {
  const auto all = room(now_(), most);
  if (waiting_ < all / 2) return true;
  const auto gateways = lines_.size() + (own == 0 ? 1 : 0);
  return waiting_ < 2 * all && own < std::max<std::size_t>(1, all / gateways);
}

admission::verdict admission::ask(const gateway_id& gw, const bounds& most, const turn_taker& taker,
                                  std::uint64_t number, work_place& to) {
  {
    std::lock_guard lock{guard_};
    most_ = most;
    if (waiting_ > 0 || in_work_ >= most.in_work) {
      const auto found = by_gateway_.find(gw);
      if (!may_wait(found == by_gateway_.end() ? 0 : found->second->requests.size(), most))
        return verdict::refuse;
      const auto now = now_();
      if (waiting_++ == 0) counted_since_ = now;
      const auto at = found != by_gateway_.end() ? found->second : lines_.insert(lines_.end(), line{gw, {}});
      if (found == by_gateway_.end()) by_gateway_.emplace(gw, at);
      at->requests.push_back({taker, number, now});
      return verdict::wait;
    }
    ++in_work_;
    moved_ = now_();
  }
  to = work_place{shared_from_this()};
  return verdict::work;
}

work_place admission::enter() {
  {
    std::lock_guard lock{guard_};
    // While all places are taken it must not hide that the work stands still.
    if (in_work_++ < most_.in_work) moved_ = now_();
  }
  return work_place{shared_from_this()};
}

std::uint32_t admission::retry_after() {
  std::lock_guard lock{guard_};
  const auto now = now_();
  // Not rate(): a gateway that comes back after a fail-over of the store finds the server as it was before.
  // lately_ alone says how many came, not how many the server can do.
  const auto usable = per_second_ > 0 ? std::max(per_second_, lately_) * share_of_returns
                                      : static_cast<double>(most_.in_work);
  return returns_.take(now, std::max(returns_least, static_cast<std::uint32_t>(usable)));
}

std::optional<admission::waiting_request> admission::next() {
  if (waiting_ == 0 || in_work_ >= most_.in_work) return std::nullopt;
  auto& first = lines_.front();
  auto out = std::move(first.requests.front());
  first.requests.pop_front();
  if (first.requests.empty()) {
    by_gateway_.erase(first.gw);
    lines_.pop_front();
  } else {
    lines_.splice(lines_.end(), lines_, lines_.begin());
  }
  ++in_work_;
  if (--waiting_ == 0) pause_count(now_());
  return out;
}

/// A turn may end at once, and call this again: the first caller gives all turns, or the calls would nest.
void admission::leave() {
  std::unique_lock lock{guard_};
  --in_work_;
  moved_ = now_();
  count_lately(moved_);
  if (waiting_ > 0) count_done(moved_);
  if (std::exchange(handing_out_, true)) return;
  while (auto turn = next()) {
    lock.unlock();
    (*turn->taker)(turn->number, work_place{shared_from_this()});
    turn.reset();
    lock.lock();
  }
  handing_out_ = false;
}

void admission::end_long_waits() {
  std::vector<waiting_request> over;
  {
    std::lock_guard lock{guard_};
    const auto now = now_();
    const auto is_over = [&](const waiting_request& r) { return now - r.since > 2 * most_.longest_wait; };
    for (auto at = lines_.begin(); at != lines_.end();) {
      auto& requests = at->requests;
      for (; !requests.empty() && is_over(requests.front()); requests.pop_front())
        over.push_back(std::move(requests.front()));
      if (!requests.empty()) {
        ++at;
        continue;
      }
      by_gateway_.erase(at->gw);
      at = lines_.erase(at);
    }
    waiting_ -= over.size();
    if (waiting_ == 0) pause_count(now);
  }
  for (const auto& r : over) (*r.taker)(r.number, {});
}

void admission::forget(const gateway_id& gw, const turn_taker& taker) {
  std::lock_guard lock{guard_};
  const auto found = by_gateway_.find(gw);
  if (found == by_gateway_.end()) return;
  auto& requests = found->second->requests;
  waiting_ -= std::erase_if(requests, [&taker](const auto& r) { return r.taker == taker; });
  if (waiting_ == 0) pause_count(now_());
  if (!requests.empty()) return;
  lines_.erase(found->second);
  by_gateway_.erase(found);
}

void admission::pause_count(steady::time_point now) {
  if (counted_since_ != steady::time_point{}) counted_before_ += now - counted_since_;
  counted_since_ = {};
}

/// The jobs of one write end together, so a sample is from the first job of one write until the first of another.
void admission::count_done(steady::time_point now) {
  const auto passed = counted_before_ + (now - counted_since_);
  if (passed >= sample) {
    const auto seen = static_cast<double>(done_) / in_seconds(passed);
    per_second_ = per_second_ == 0 ? seen : per_second_ + weight_of_sample * (seen - per_second_);
    counted_since_ = now;
    counted_before_ = {};
    done_ = 0;
  }
  ++done_;
}

void admission::count_lately(steady::time_point now) {
  if (const auto passed = now - lately_since_; passed >= seconds{1}) {
    const auto seen = static_cast<double>(done_lately_) / in_seconds(passed);
    // A second in which the disk stood still does not count alone.
    lately_ = passed < seconds{3} ? std::max(seen, lately_ / 2) : seen;
    lately_since_ = now;
    done_lately_ = 0;
  }
  ++done_lately_;
}

/// Not before the first of the waiting requests is refused: a disk or a database that stops for some tenths of a second goes
/// on sooner than a refused request comes back.
bool admission::stands_still(steady::time_point now) const {
  return counted_since_ != steady::time_point{} && now - moved_ >= 2 * most_.longest_wait;
}

double admission::rate(steady::time_point now) const {
  return stands_still(now) ? std::min(per_second_, 1 / in_seconds(now - moved_)) : per_second_;
}

std::size_t admission::room(steady::time_point now, const bounds& most) const {
  if (stands_still(now)) return waiting_least;
  return std::max(budget(per_second_, most), budget(std::max(per_second_, lately_), most));
}

admission::view admission::look() const {
  std::lock_guard lock{guard_};
  const auto now = now_();
  auto oldest = now;
  for (const auto& l : lines_) oldest = std::min(oldest, l.requests.front().since);
  return {in_work_,      waiting_,
          lines_.size(), std::chrono::duration_cast<milliseconds>(now - oldest),
          rate(now),     returns_.taken(now)};
}

}  // namespace cpns::server
