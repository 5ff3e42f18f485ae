#pragma once
// Closes the connections of a gateway wherever they are.

#include <functional>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "server/context.hpp"
#include "server/heartbeat.hpp"
#include "server/order_rows.hpp"

namespace cpns::server {

/// An operator orders at one server what concerns a gateway that is connected to another one, or that is on its way from one
/// to the next. Servers have no connections to each other, so an order is a row that all of them read twice per second:
/// each does what it says with its own connections, and confirms. No server has to know where the gateway is.
/// [thread-safe]
class gateway_orders {
 public:
  static constexpr milliseconds confirmed_within{3000};

  /// `role` outlives the object. `start`: node_row::start. `nodes`: heartbeat::nodes.
  gateway_orders(role_context& role, std::string node, byte_array<16> start,
                 std::function<std::vector<seen_node>()> nodes);
  /// The orders that are in the store are older than this process. Before the first connection. Errors of the store.
  status begin();

  struct outcome {
    std::size_t closed = 0;                  ///< at the other servers
    std::vector<std::string> unconfirmed{};  ///< servers that live and did not answer in time, by name
  };
  /// Has the connections of the gateway closed at all other servers; waits for the store, and for the servers that live.
  /// `waits`: for the order to be durable. peer_timeout: whether it is given is not known; errors of the store.
  result<outcome> close(const gateway_id& gw, milliseconds waits);

  [[nodiscard]] bool behind(std::uint64_t version) const;
  /// Does what is new in the row of orders. On one thread. Errors of the store.
  status obey();

 private:
  result<order_id> give(const gateway_id& gw, milliseconds waits);
  outcome wait_for_others(const order_id& id);
  void confirm();

  role_context& role_;
  const std::string node_;
  const byte_array<16> start_;
  const std::function<std::vector<seen_node>()> nodes_;
  mutable std::mutex guard_;
  std::uint64_t seen_ = 0;                    ///< version of the row
  std::unordered_set<order_id> known_, own_;  ///< done or older than this process; given by this server
  std::vector<order_done> done_;              ///< on the thread of obey()
};

}  // namespace cpns::server
