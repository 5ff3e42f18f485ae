#include <iostream>

#include "cli/commands.hpp"
#include "cli/daemon.hpp"
#include "cli/trial_folder.hpp"
#include "config/values.hpp"

namespace cpns::cli {
namespace {

struct init_options {
  trial_options trial;
  std::string folder;
  std::string listen = "127.0.0.1:7443";
};

int init(init_options& o) {
  auto address = config::parse_address(o.listen);
  if (!address) return report(error{errc::config_usage, "--listen: " + address.error().detail});
  if (address->port == 0)
    return report(error{errc::config_usage,
                        "--listen: name a port; the gateway cannot know one that the system chooses"});
  o.trial.listen = std::move(*address);
  o.trial.folder = o.folder;
  block_signals();
  const auto made = make_trial_folder(o.trial);
  if (!made && cancelled()) return interrupted(o.folder + " was not made");
  if (!made) return report(made.error());
  const auto dir = made->server_yaml.parent_path().string();
  std::cout << "Made " << dir << ": a development CA, certificates, the user " << o.trial.user << " and "
            << o.trial.devices << " manufactured devices.\nTry, each in a terminal of its own:\n"
            << "  cpns server  --config " << made->server_yaml.string() << "\n"
            << "  cpns gateway --config " << made->gateway_yaml.string() << "\n"
            << "  cpns pne     --config " << made->pne_yaml.string() << "\n"
            << "For development only: the key of the CA is in " << dir << "/tls/ca.key.\n";
  return exit_done;
}

}  // namespace

void add_init(CLI::App& app, int& code) {
  const auto o = std::make_shared<init_options>();
  auto* c = app.add_subcommand("init", "Make a folder with all that the three roles need for a trial");
  c->add_option("DIR", o->folder, "A new or an empty folder")->required();
  c->add_option("--devices", o->trial.devices, "Number of devices to manufacture")
      ->check(CLI::Range(0, 100000))
      ->capture_default_str();
  c->add_option("--user", o->trial.user, "The CPNS User ID; its password is random")->capture_default_str();
  c->add_option("--listen", o->listen, "The address where the server listens")->capture_default_str();
  c->add_option("--server-name", o->trial.server_name,
                "Name of the server; in its certificate as urn:cpns:server:NAME")
      ->capture_default_str();
  c->add_option("--gateway-name", o->trial.gateway_name,
                "Name of the gateway; in its certificate as urn:cpns:gw:NAME")
      ->capture_default_str();
  c->footer("Examples:\n  cpns init trial\n  cpns init trial --devices 100 --user bob@example.org --listen "
            "127.0.0.1:9443");
  c->callback([o, &code] { code = init(*o); });
}

}  // namespace cpns::cli
