#pragma once
// Takes a server out of service without a failed request: the gateways go to other servers, spread over a time, while
// everything that they still ask is answered.

#include <boost/json/object.hpp>
#include <mutex>
#include <optional>

#include "base/clock.hpp"
#include "server/listener.hpp"
#include "server/node_notices.hpp"

namespace cpns::server {

/// The time that gateways get to leave: more for more connections, so that the servers that they go to are not hit by all
/// of them at once; at most three quarters of `limit`, so that the last answers can be sent.
milliseconds time_to_leave(std::size_t connections, milliseconds limit);

/// [thread-safe]
class server_drain {
 public:
  server_drain(listener& sockets, node_notices& notices) : sockets_(sockets), notices_(notices) {}

  /// Accepts no connection from now on and asks the gateways to leave. After `limit` no connection is left. A second call
  /// changes nothing.
  void begin(milliseconds limit);
  /// begin(), then returns when all connections are closed, at the latest after `limit`.
  void finish(milliseconds limit);
  /// Closes the connections of gateways that did not leave in time; call it about once a second.
  void look();
  [[nodiscard]] bool begun() const;
  /// For /v1/status: {"since", "until", "connections", "acknowledged"}; nullopt: no drain was begun.
  [[nodiscard]] std::optional<boost::json::object> view() const;

 private:
  struct times {
    time_point since;                             ///< by the wall clock
    std::chrono::steady_clock::time_point until;  ///< what is left then is closed
    milliseconds within{};
  };
  listener& sockets_;
  node_notices& notices_;
  mutable std::mutex guard_;
  std::optional<times> times_;
};

}  // namespace cpns::server
