#include "actors/pn_gw/server_side.hpp"

namespace cpns::actors {

server_link_parts server_link_of(const config::gateway_config& c, const gateway_id& gw, key_store& keys,
                                 const std::shared_ptr<uplink_gate>& gate) {
  server_link_parts link;
  link.password_file = c.user_password_file;
  link.request_timeout = c.timers.request_timeout;
  link.requests_max = c.limits.requests_in_flight;
  link.clock = now_anchored;
  link.wall = now_wall;
  link.store = &keys;
  link.nonces = std::make_shared<nonce_cache>();
  link.node_timeout = c.timers.node_timeout;
  link.servers = std::make_shared<node_list>(c.servers, gw);
  link.send = [gate](connection_number n, bytes frame) { gate->send(n, std::move(frame)); };
  link.leave = [gate](connection_number n) { gate->leave(n); };
  link.taken = [gate](connection_number n, std::size_t size) { gate->taken(n, size); };
  link.give_up = [gate](connection_number n, std::string why) { gate->give_up(n, std::move(why)); };
  return link;
}

uplink_settings uplink_of(const config::gateway_config& c, const server_link_parts& link,
                          const authentication& step0) {
  uplink_settings up;
  up.servers = link.servers;
  up.reconnect_min = c.timers.reconnect_min;
  up.reconnect_max = c.timers.reconnect_max;
  up.probe = c.timers.probe;
  step0.set(up);
  return up;
}

}  // namespace cpns::actors
