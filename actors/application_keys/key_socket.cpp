#include "actors/application_keys/key_socket.hpp"

#include <utility>

#include "actors/application_keys/key_routes.hpp"
#include "actors/application_keys/purposes.hpp"
#include "base/log.hpp"
#include "crypto/suite.hpp"

namespace cpns::actors {

result<std::unique_ptr<key_socket>> key_socket::start(const config::application_keys_config& c,
                                                      const std::string& component,
                                                      const offered_keys& offered, key_changes& changes,
                                                      consumers& programs) {
  CPNS_TRY(auto made, purposes::make(c));
  const auto known = std::make_shared<const purposes>(std::move(made));
  config::api_config socket_alone;
  socket_alone.socket = c.socket;
  api::http_parts http{.component = component, .routes = {}};
  http.limits.workers = 4;
  http.limits.probe_workers = 1;
  http.limits.connections = 48;  // each takes a file of the process, which radios need, too
  http.socket_setting = "application_keys.socket";
  // The purposes decide. All processes without any share the places of one.
  http.level_of = [known](const api::local_peer& who) {
    return known->allow(who) ? api::level::viewer : api::level::nobody;
  };
  const auto ending = std::make_shared<std::atomic<bool>>(false);
  http.routes.add(
      key_routes({component, known, &offered, &changes, &programs, &crypto::openssl_suite(), ending}));
  CPNS_TRY(auto server, api::http_server::start(socket_alone, std::move(http)));
  if (c.overlap == milliseconds{0})
    log::warn(component, "no-overlap",
              "'application_keys.overlap' is 0s: a handshake that is under way while a device gets a new key "
              "may fail");
  log::info(component, "key-socket", "programs get application keys at this socket",
            {{"socket", c.socket.string()}});
  return std::unique_ptr<key_socket>{new key_socket{std::move(server), ending}};
}

}  // namespace cpns::actors
