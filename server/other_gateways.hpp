#pragma once
// The gateways that are connected to the other servers of a shared store, as these servers say (presence_writer.hpp).

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/seldom.hpp"
#include "server/heartbeat.hpp"
#include "server/presence_rows.hpp"

namespace cpns::server {

/// A gateway at one server.
struct gateway_place {
  std::string node;
  present_gateway what;
};

/// The pages of thousands of gateways are read for one page of a list, because a list is in another order. So what was
/// read is used for `kept` again. A server whose heartbeat is not alive has no gateways. [thread-safe]
class other_gateways {
 public:
  static constexpr milliseconds kept{500};
  using steady = std::chrono::steady_clock;
  using nodes_fn = std::function<std::vector<seen_node>()>;
  using places = std::unordered_map<gateway_id, std::vector<gateway_place>>;

  /// `store` outlives the object. `nodes`: heartbeat::nodes. [thread-safe]
  other_gateways(const storage::sealed_store& store, nodes_fn nodes,
                 std::function<steady::time_point()> now = steady::now);
  /// Waits for the store. A page that cannot be read is logged and left out; store_unavailable.
  result<std::shared_ptr<const places>> look();

 private:
  result<places> read();
  void take(places& to, const seen_node& from, const presence_page& page);
  /// nullopt: there is none, or it is of another process.
  std::optional<presence_page> page_in(const seen_node& of, const result<storage::sealed_value>& row);

  const storage::sealed_store& store_;
  const nodes_fn nodes_;
  const std::function<steady::time_point()> now_;
  std::mutex guard_;  ///< held while the pages are read: other callers take what came
  seldom damaged_;
  steady::time_point read_;
  std::shared_ptr<const places> last_;
};

}  // namespace cpns::server
