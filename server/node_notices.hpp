#pragma once
// What a server tells its gateways by itself: that they are to leave, and at which addresses the servers are.
//
// Both are state, not a queue: a gateway that reads slowly, or not at all, must not collect old messages in the server.
// So each connection has at most one unacknowledged message of each kind, and gets the newest state after that.

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.hpp"
#include "base/entropy.hpp"
#include "protocol/messages.hpp"
#include "server/link.hpp"

namespace cpns::server {

/// Whether the server may send requests on such a connection: it agreed on cpns/1.1.
bool can_be_asked(const peer_info& peer);

/// [thread-safe]
class node_notices {
 public:
  using ticket = std::uint64_t;

  /// `random` is thread-safe and outlives the object. `incarnation`: of the server.
  node_notices(entropy& random, std::uint64_t incarnation) : random_(random), incarnation_(incarnation) {}

  /// A connection begins; it gets the present state if it can be asked. `number` is its own.
  void enter(ticket number, const peer_info& peer, std::weak_ptr<link_port> port);
  void leave(ticket number);
  /// False: nothing of this connection waits for it.
  bool acknowledged(ticket number, const protocol::node_acknowledgement& a);

  /// At most protocol::nodes_max addresses.
  void set_nodes(std::vector<std::string> addresses);
  /// Asks all gateways, also those that connect later, to leave before `until`.
  void set_drain(std::chrono::steady_clock::time_point until);
  /// Connections that can be asked, and those of them that acknowledged the drain.
  struct counts {
    std::size_t connected = 0, acknowledged = 0;
  };
  [[nodiscard]] counts of_drain() const;

 private:
  /// One kind of state at one connection.
  struct line {
    std::optional<request_id> sent;  ///< not acknowledged yet
    bool newer = false;              ///< the state changed since
    bool acknowledged = false;       ///< once at least
  };
  struct place {
    std::weak_ptr<link_port> port;
    line drain, nodes;
  };
  /// With guard_ held: sends the state, or remembers that it has to be sent.
  void push_drain(place& p);
  void push_nodes(place& p);
  void send(place& p, line& l, decltype(protocol::node_request::body) body);

  entropy& random_;
  const std::uint64_t incarnation_;
  mutable std::mutex guard_;
  std::unordered_map<ticket, place> places_;
  std::optional<std::vector<std::string>> addresses_;
  std::optional<std::chrono::steady_clock::time_point> leave_until_;
};

}  // namespace cpns::server
