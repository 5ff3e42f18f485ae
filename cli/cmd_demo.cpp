#include <memory>
#include <string>

#include "base/temporary_folder.hpp"
#include "cli/commands.hpp"
#include "cli/daemon.hpp"
#include "cli/demo/application.hpp"
#include "cli/demo/demo.hpp"
#include "cli/demo/deployment.hpp"
#include "cli/demo/room.hpp"
#include "cli/plugin_argument.hpp"
#include "plugins/host/moniker.hpp"

namespace cpns::cli {
namespace {

status check_application(const demo_options& o) {
  if (o.application.empty()) return {};
  const auto refuse = [](const std::string& why) { return fail(errc::config_usage, why); };
  if (o.pnes > application_pnes_max)
    return refuse("--pnes " + std::to_string(o.pnes) + ": --application mqtt has clients for " +
                  std::to_string(application_pnes_max) + " PNEs at most");
  if (rekey_of(o) >= o.seconds)
    return refuse("--seconds " + std::to_string(o.seconds) +
                  ": no key would change, because each PNE gets its next one after " +
                  std::to_string(rekey_of(o)) + " s (--rekey)");
  return {};
}

/// Draws the parameters with which the two roles find each other from the plugin's check file, and runs.
int demo(demo_options o) {
  auto on = read_plugin_argument(o.transport, {}, o.params, o.peer_params);
  if (!on) return report(on.error());
  o.transport = plugins::parse_moniker(o.transport)->plugin;
  if (const auto fits = check_room(o); !fits) return report(fits.error());
  if (const auto fits = check_application(o); !fits) return report(fits.error());
  if (o.isolation == "process" && o.transport == "loopback")
    return report(
        {errc::config_usage,
         "--isolation process: loopback connects radios of one process only; use another --transport"});
  block_signals();
  const auto folder = temporary_folder::make("cpns-radio");
  if (!folder) return report(folder.error());
  on->folder = folder->path();
  const auto met = conformance::draw_meeting(*on);
  if (o.transport.find('/') != std::string::npos) o.transport = on->file;
  o.params = met.central;
  o.peer_params = met.peripheral;
  return run_demo(o);
}

}  // namespace

void add_demo(CLI::App& app, int& code) {
  auto* c =
      app.add_subcommand("demo", "Show key assignment, steps 0 to 10, with real roles in a temporary folder");
  const auto o = std::make_shared<demo_options>();
  c->add_option("--pnes", o->pnes, "Number of PNEs")->check(CLI::Range(1, 100000))->capture_default_str();
  c->add_option("--transport", o->transport,
                "tcp (each role in its own process), another plugin or FILE.so with a '/' (all roles in one "
                "process); an ADDRESS and parameters may follow: NAME:ADDRESS,NAME=VALUE")
      ->capture_default_str();
  c->add_option(
       "--isolation", o->isolation,
       "Where the radios run: in the processes of the roles (none), or each in a child process (process; not "
       "with loopback)")
      ->check(CLI::IsMember({"none", "process"}))
      ->capture_default_str();
  c->add_option("--rekey", o->rekey_seconds,
                "Seconds between periodic updates; default: by the number of PNEs, with --application 2 for "
                "up to 200. "
                "From 5,500 PNEs on the demo orders updates instead of waiting for them")
      ->check(CLI::Range(1, 86400));
  auto* application =
      c->add_option(
           "--application", o->application,
           "Programs that use the keys while they change: mqtt (a mosquitto broker with the plugin of cpns, "
           "and an MQTT client of each PNE)")
          ->check(CLI::IsMember({"mqtt"}));
  c->add_option("--seconds", o->seconds, "How long the application runs")
      ->check(CLI::Range(3, 3600))
      ->capture_default_str()
      ->needs(application);
  c->add_option("--broker", o->broker, "The program of the broker, if it is not in PATH")
      ->capture_default_str()
      ->needs(application);
  c->add_option("--keep", o->keep, "Keep all files in this folder, which must be new or empty");
  add_parameters(*c, "--param", o->params, "A parameter of the gateway's radio");
  add_parameters(*c, "--peer-param", o->peer_params, "A parameter of the PNEs' radio");
  c->add_flag("--json", o->json, "Print only the figures, as one JSON object");
  c->footer(
      "Exit codes: 0 every PNE was keyed, and a part of them updated and woken; 1 otherwise; 130 "
      "interrupted.\n\n"
      "With --application: 0 every PNE was keyed, keys changed, and no handshake was refused and no message "
      "lost. It needs the packages mosquitto and cpns-mosquitto; the broker listens on 127.0.0.1 alone, with "
      "files of its own.\n\n"
      "With tcp each PNE needs a descriptor in two processes, and a port; --pnes is refused if they do "
      "not fit.\n\n"
      "Examples:\n  cpns demo\n  cpns demo --pnes 1000\n"
      "  cpns demo --transport loopback --rekey 2\n"
      "  cpns demo --pnes 100000 --transport loopback\n"
      "  cpns demo --application mqtt\n"
      "  cpns demo --application mqtt --pnes 50 --seconds 60\n"
      "  cpns demo --transport tcp:127.0.0.1:7000,mtu=200\n  cpns demo --keep trial --json");
  c->callback([o, &code] { code = demo(*o); });
}

}  // namespace cpns::cli
