#pragma once
// What connects the server link, the uplink and the configuration of a gateway.

#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "actors/pn_gw/authentication.hpp"
#include "actors/pn_gw/server_link.hpp"
#include "actors/pn_gw/uplink.hpp"
#include "base/bytes.hpp"
#include "config/schema.hpp"

namespace cpns::actors {

/// Access to the uplink while it exists; calls before and after do nothing. The server link and the uplink call each other, so
/// the server link exists first. [thread-safe]
class uplink_gate {
 public:
  /// Calls from the new uplink's thread wait until `make` has returned.
  template <class Make>
  std::unique_ptr<uplink> open(Make make) {
    std::lock_guard lock{guard_};
    auto made = make();
    to_ = made.get();
    return made;
  }
  void shut() {
    std::lock_guard lock{guard_};
    to_ = nullptr;
  }
  void send(connection_number connection, bytes frame) {
    std::lock_guard lock{guard_};
    if (to_ != nullptr) to_->send(connection, std::move(frame));
  }
  void taken(connection_number connection, std::size_t size) {
    std::lock_guard lock{guard_};
    if (to_ != nullptr) to_->taken(connection, size);
  }
  void give_up(connection_number connection, std::string why) {
    std::lock_guard lock{guard_};
    if (to_ != nullptr) to_->give_up(connection, std::move(why));
  }
  void leave(connection_number connection) {
    std::lock_guard lock{guard_};
    if (to_ != nullptr) to_->leave(connection);
  }

 private:
  std::mutex guard_;
  uplink* to_ = nullptr;
};

/// Of the gateway `gw`; what is stored is left out. `keys` outlives the server link.
server_link_parts server_link_of(const config::gateway_config& c, const gateway_id& gw, key_store& keys,
                                 const std::shared_ptr<uplink_gate>& gate);
/// With the servers of `link`, and the certificates or the key of `step0`.
uplink_settings uplink_of(const config::gateway_config& c, const server_link_parts& link,
                          const authentication& step0);

}  // namespace cpns::actors
