#pragma once
// From a configuration file to a running role: what `cpns server`, `gateway` and `pne` do, and the demo in
// one process too.

#include <memory>
#include <string>
#include <vector>

#include "actors/pn_gw/gateway_role.hpp"
#include "actors/pne/pne_role.hpp"
#include "cli/stores.hpp"
#include "config/loader.hpp"
#include "server/server.hpp"

namespace cpns::cli {

/// A role with the store that it works on; destroyed in the right order.
struct running_server {
  opened_store store;
  std::unique_ptr<server::server_role> role;
};
struct running_gateway {
  opened_store store;
  std::unique_ptr<actors::gateway_role> role;
};

result<running_server> start_server(const config::server_config& c);
result<running_gateway> start_gateway(const config::gateway_config& c);
result<std::unique_ptr<actors::pne_role>> start_pne(const config::pne_config& c);

/// Prints every problem of a configuration on a line of its own and gives the exit code.
int report_diagnostics(const std::vector<std::string>& lines);

}  // namespace cpns::cli
