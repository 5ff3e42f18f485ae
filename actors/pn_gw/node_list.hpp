#pragma once
// The servers that a gateway may use, and the order in which it tries them.
//
// Many gateways must not move together: each has an order of its own, from a hash of its gw_id and the address. So they
// spread over all servers, the gateways of one that ends spread over all others, and a new address moves only those that
// begin there.

#include <boost/json/array.hpp>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "config/schema.hpp"

namespace cpns::actors {

/// [thread-safe]
class node_list {
 public:
  /// `configured`: at least one. They are never forgotten.
  node_list(std::vector<config::address> configured, const gateway_id& gw);

  /// The server to try now. The first one of the order at the beginning and after a planned end; else the one after the
  /// last. Passes over those that drain, unless no other one could be reached.
  config::address next(time_point now);
  /// The last server of next() was reached; it does not drain any more.
  void reached();
  /// The last server of next() was not reached, or its connection broke.
  void failed();
  /// Its connection ended as planned: next() begins at the first one.
  void ended();

  /// Addresses that a server named. Those without a server are forgotten after protocol::node_memory; of more than
  /// protocol::nodes_max the ones that were named longest ago.
  void learn(const std::vector<std::string>& addresses, time_point now);
  /// The server at this address will stop: it is passed over until a server names it after `within`.
  void drain(const std::string& address, time_point now, milliseconds within);

  /// Whether there is a server to go to besides the last one of next().
  [[nodiscard]] bool knows_another(time_point now) const;
  /// Servers that do not drain; at least 1.
  [[nodiscard]] std::size_t size() const;
  /// For people: [{"address", "source": "configured" or "learned", "in_use", "draining"}] in the order of the
  /// gateway.
  [[nodiscard]] boost::json::array view(time_point now) const;

 private:
  struct node {
    config::address where;
    std::string text;
    byte_array<32> place{};  ///< in the order
    bool configured = false;
    time_point confirmed = time_zero;   ///< named by a server
    std::optional<time_point> drained;  ///< it drains, and a server that names it later ends that
  };
  void add(config::address where, bool configured, time_point confirmed);
  void forget_old(time_point now);
  [[nodiscard]] node* find(const std::string& text);
  [[nodiscard]] std::size_t usable() const;

  const gateway_id gw_;
  mutable std::mutex guard_;
  std::vector<node> nodes_;  ///< in the order
  std::string last_;         ///< text of the last one of next(); empty: begin at the first
  bool from_first_ = true;
  std::size_t failures_ = 0;  ///< since a server was reached
  bool up_ = false;
  bool after_fault_ = false;  ///< a server whose drain is over may be back, and is better than a dead one
};

}  // namespace cpns::actors
