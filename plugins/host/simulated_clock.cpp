#include "plugins/host/simulated_clock.hpp"

#include <algorithm>

namespace cpns::plugins {
namespace {

/// Keeps sums of times from overflowing.
constexpr std::uint64_t after_ms_max = std::uint64_t{1} << 62;

}  // namespace

std::uint64_t simulated_clock::now_ms() const {
  std::lock_guard lock{guard_};
  return now_ms_;
}

simulated_clock::hold simulated_clock::make_hold() {
  ++holds_;
  // Only the deleter matters: it ends the hold.
  return {this, [](void* of) {
            auto& self = *static_cast<simulated_clock*>(of);
            {
              std::lock_guard lock{self.guard_};
              --self.holds_;
            }
            self.idle_.notify_all();
          }};
}

simulated_clock::hold simulated_clock::held() {
  std::lock_guard lock{guard_};
  return make_hold();
}

bool simulated_clock::run_until(std::uint64_t ms, std::chrono::milliseconds timeout) {
  std::unique_lock lock{guard_};
  for (;;) {
    if (!idle_.wait_for(lock, timeout, [this] { return holds_ == 0; })) return false;
    const auto next = timers_.begin();
    if (next == timers_.end() || next->first.first > ms) {
      now_ms_ = std::max(now_ms_, ms);
      return true;
    }
    now_ms_ = std::max(now_ms_, next->first.first);
    const auto due = std::move(next->second);
    due_at_.erase(next->first.second);
    timers_.erase(next);
    due(make_hold());
  }
}

std::uint64_t simulated_clock::add(std::uint64_t after_ms, std::function<void(hold)> due) {
  std::lock_guard lock{guard_};
  const auto id = ++last_;
  const auto at = now_ms_ + std::min(after_ms, after_ms_max);
  due_at_[id] = at;
  timers_[{at, id}] = std::move(due);
  return id;
}

void simulated_clock::remove(std::uint64_t id) {
  std::lock_guard lock{guard_};
  const auto it = due_at_.find(id);
  if (it == due_at_.end()) return;
  timers_.erase({it->second, id});
  due_at_.erase(it);
}

}  // namespace cpns::plugins
