#pragma once
// Whether the server has blocked this gateway.

#include "base/clock.hpp"
#include "protocol/messages.hpp"

namespace cpns::actors {

/// A blocked gateway is refused with every answer, for as long as an operator of the server wants it. Its devices would ask
/// again and again, so the server link notifies none of them before an answer shows that the block is over: the server
/// closes the connection when it ends, and the gateway's first question on the next one is answered. Not thread-safe.
class server_block {
 public:
  /// Follows an answer, and logs that a block began (again every minute of refusals) or ended. Returns active().
  bool follow(const protocol::link_answer& a, time_point now);
  [[nodiscard]] bool active() const { return active_; }

 private:
  bool active_ = false;
  time_point logged_at_ = time_zero;
};

}  // namespace cpns::actors
