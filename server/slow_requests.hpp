#pragma once
// The KeyAssignmentRequests of one connection that are in work.
//
// A store that does not answer would keep a gateway waiting until it gives up, and the gateway could not tell that from a
// dead server. So a request that is slow is answered "overloaded"; its work goes on, and the gateway repeats it with the
// same id. The answer that comes later is dropped: each frame is answered once.

#include <algorithm>
#include <deque>
#include <vector>

#include "base/ids.hpp"
#include "server/server_metrics.hpp"

namespace cpns::server {

/// Not thread-safe: of one session.
class slow_requests {
 public:
  /// `arrived` with the id names the request, because a gateway may repeat an id. One that had to wait may begin after one that
  /// arrived later.
  void begin(const request_id& id, steady::time_point arrived) {
    const auto later = std::upper_bound(in_work_.begin(), in_work_.end(), arrived,
                                        [](steady::time_point t, const entry& e) { return t < e.arrived; });
    in_work_.insert(later, {arrived, id});
  }
  /// The outcome is here. False: the request was taken by overdue().
  bool end(const request_id& id, steady::time_point arrived) {
    const auto at = find(id, arrived);
    if (at == in_work_.end()) return false;
    in_work_.erase(at);
    return true;
  }
  /// False: overdue() took it.
  [[nodiscard]] bool in_work(const request_id& id, steady::time_point arrived) const {
    return find(id, arrived) != in_work_.end();
  }
  /// Takes out those that arrived before `limit`.
  std::vector<request_id> overdue(steady::time_point limit) {
    std::vector<request_id> out;
    for (; !in_work_.empty() && in_work_.front().arrived <= limit; in_work_.pop_front())
      out.push_back(in_work_.front().id);
    return out;
  }
  [[nodiscard]] bool empty() const { return in_work_.empty(); }

 private:
  struct entry {
    steady::time_point arrived;
    request_id id;
  };
  [[nodiscard]] std::deque<entry>::const_iterator find(const request_id& id,
                                                       steady::time_point arrived) const {
    return std::find_if(in_work_.begin(), in_work_.end(),
                        [&](const entry& e) { return e.arrived == arrived && e.id == id; });
  }
  std::deque<entry> in_work_;  ///< in the order in which they arrived
};

}  // namespace cpns::server
