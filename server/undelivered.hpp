#pragma once
// Requests that were answered "overloaded" while their work went on, and that are done now. The gateway repeats each with
// the same id: the repetition ends work, so it is not refused before new work.

#include <atomic>
#include <deque>
#include <mutex>
#include <unordered_set>

#include "base/ids.hpp"

namespace cpns::server {

/// [thread-safe]
class undelivered_answers {
 public:
  static constexpr std::size_t most = 4096;  ///< over it the oldest is forgotten

  void put(const request_id& id) {
    std::lock_guard lock{guard_};
    if (!ids_.insert(id).second) return;
    order_.push_back(id);
    if (order_.size() > most) {
      ids_.erase(order_.front());
      order_.pop_front();
    }
    any_ = true;
  }
  /// Whether it is one of them; then it is one no more.
  bool take(const request_id& id) {
    if (!any_) return false;
    std::lock_guard lock{guard_};
    return ids_.erase(id) != 0;
  }

 private:
  std::mutex guard_;
  std::deque<request_id> order_;  ///< with those that were taken since
  std::unordered_set<request_id> ids_;
  std::atomic<bool> any_ = false;
};

}  // namespace cpns::server
