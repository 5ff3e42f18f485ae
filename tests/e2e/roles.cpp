// For tests only: runs several roles in one process, so that their radios meet over loopback, and kill -9 ends all of
// them at the same moment.
//
//   e2e_roles FILE.yaml...
//
// It starts the roles in the order of the files, without their APIs, and logs `ready` for each. SIGTERM ends them in the
// reverse order. The first file has the settings of the log.

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "cli/daemon.hpp"
#include "cli/role_process.hpp"
#include "cli/terminal.hpp"
#include "config/loader.hpp"
#include "plugins/host/loader.hpp"

namespace cpns::test {
namespace {

struct started_role {
  std::shared_ptr<void> owner;
  std::function<void()> drain;
  std::function<bool()> failed;
};

result<started_role> started(const config::server_config& c) {
  CPNS_TRY(auto made, cli::start_server(c));
  const auto running = std::make_shared<cli::running_server>(std::move(made));
  return started_role{running, [running, limit = c.drain] { running->role->drain(limit); },
                      [running] { return running->role->failed() || running->store.lost(); }};
}
result<started_role> started(const config::gateway_config& c) {
  CPNS_TRY(auto made, cli::start_gateway(c));
  const auto running = std::make_shared<cli::running_gateway>(std::move(made));
  return started_role{running, [running] { running->role->drain(); },
                      [running] { return running->role->failed() || running->store.lost(); }};
}
result<started_role> started(const config::pne_config& c) {
  CPNS_TRY(auto made, cli::start_pne(c));
  const std::shared_ptr<actors::pne_role> role = std::move(made);
  return started_role{role, [role] { role->drain(); }, [role] { return role->failed(); }};
}

constexpr std::string_view name_of(config::role_kind role) {
  switch (role) {
  case config::role_kind::server: return "server";
  case config::role_kind::gateway: return "gateway";
  case config::role_kind::pne: break;
  }
  return "pne";
}

int run(const std::vector<std::string>& files) {
  std::vector<config::checked_file> all;
  for (const auto& file : files) {
    auto loaded = config::check_file(file);
    if (!loaded) return cli::report_diagnostics(loaded.error().lines());
    all.push_back(std::move(*loaded));
  }
  const auto logs = std::visit([](const auto& c) { return c.log.settings(); }, all.front().config);
  if (const auto done = log::configure(logs); !done) return cli::report(done.error());
  cli::block_signals();
  cli::signal_watch signals{"roles"};
  cli::raise_file_limit();
  std::vector<started_role> roles;
  const auto end = [&roles] {
    while (!roles.empty()) {
      roles.back().drain();
      roles.pop_back();
    }
  };
  for (const auto& one : all) {
    auto role = std::visit([](const auto& c) { return started(c); }, one.config);
    if (!role) {
      const int code = cli::not_started(std::string{name_of(one.role)}, one.file.string(), role.error());
      end();
      return code;
    }
    roles.push_back(std::move(*role));
    log::info(name_of(one.role), "ready", "the role runs in a process with others");
  }
  const auto failed = [&roles] {
    return std::any_of(roles.begin(), roles.end(), [](const auto& r) { return r.failed(); });
  };
  return cli::serve(signals, "roles", {.reload = [] {}, .drain = end, .failed = failed});
}

}  // namespace
}  // namespace cpns::test

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], cpns::plugins::probe_child_flag) == 0)
    return cpns::plugins::probe_child_main(argc, argv);
  if (argc < 2) {
    std::fputs("usage: e2e_roles FILE.yaml...\n", stderr);
    return 2;
  }
  return cpns::test::run({argv + 1, argv + argc});
}
