// `cpns server drain`: takes a running server out of service.

#include <boost/json.hpp>
#include <iostream>

#include "cli/commands.hpp"
#include "cli/server_access.hpp"
#include "cli/terminal.hpp"

namespace cpns::cli {
namespace {

struct drain_options {
  role_options role{};
  bool json = false;
};

done_or<int> run_drain(drain_options& o) {
  CPNS_TRY(auto server, server_access::open(o.role, false));
  if (!server.running()) return fail(errc::state_conflict, "the server is stopped, and has no gateways");
  CPNS_TRY(const auto answer, server.ask(api::verb::post, "/v1/drain"));
  if (o.json) {
    print_answer(answer);
    return exit_done;
  }
  const auto& drain = answer.as_object();
  std::cout << "The server accepts no new connection, and asks its gateways to leave until "
            << member_time(drain, "until", "-") << "; connections now: " << member_text(drain, "connections")
            << ".\nIt stays out of service until it is started again. To watch: cpns status\n";
  return exit_done;
}

}  // namespace

void add_server_drain(CLI::App& server, int& code) {
  const auto o = std::make_shared<drain_options>();
  auto* c =
      server_command(server, o, code, "drain",
                     "Take a running server out of service: its gateways go to other servers", run_drain);
  c->footer("No request is refused meanwhile. Without another server the gateways wait until this one is "
            "started again.\n"
            "A server that is stopped (SIGTERM) does the same by itself.\n\n"
            "Examples:\n  cpns server drain --config trial/server.yaml\n" +
            url_example("server drain"));
}

}  // namespace cpns::cli
