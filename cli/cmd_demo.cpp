#include "base/temporary_folder.hpp"
#include "cli/commands.hpp"
#include "cli/demo/demo.hpp"
#include "cli/parameters.hpp"
#include "cli/plugin_argument.hpp"
#include "cli/signals.hpp"
#include "plugins/host/moniker.hpp"

namespace cpns::cli {

namespace {

/// The roles find each other as the plugin's check file says.
int demo(demo_options o) {
  auto on = read_plugin_argument(o.transport, {}, o.params, o.peer_params);
  if (!on) return report(on.error());
  o.transport = plugins::parse_moniker(o.transport)->plugin;
  if (o.isolation == "process" && o.transport == "loopback")
    return report({errc::config_usage,
                   "--isolation process: loopback joins radios of one process, so both have to be in it"});
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
  c->add_option("--pnes", o->pnes, "How many PNEs")->check(CLI::Range(1, 20000))->capture_default_str();
  c->add_option(
       "--transport", o->transport,
       "tcp (processes of their own), or another plugin, FILE.so with a '/' (one process); an ADDRESS and "
       "parameters may follow: NAME:ADDRESS,NAME=VALUE")
      ->capture_default_str();
  c->add_option(
       "--isolation", o->isolation,
       "Where the radios run: in the roles' processes (none), or each in a child process (process), not with "
       "loopback")
      ->check(CLI::IsMember({"none", "process"}))
      ->capture_default_str();
  c->add_option("--rekey", o->rekey_seconds,
                "Seconds between periodic updates; chosen by the number of PNEs without it")
      ->check(CLI::Range(1, 86400));
  c->add_option("--keep", o->keep, "Keep everything in this folder, which must not exist or be empty");
  add_parameters(*c, "--param", o->params, "A parameter of the gateway's radio");
  add_parameters(*c, "--peer-param", o->peer_params, "A parameter of the PNEs' radio");
  c->add_flag("--json", o->json, "Print the figures alone, as one JSON object");
  c->footer("Exit codes: 0 every PNE was keyed, one updated and one woken; 1 otherwise; 130 "
            "interrupted.\n\nExamples:\n  cpns demo\n  cpns demo --pnes 1000\n"
            "  cpns demo --transport loopback --rekey 2\n"
            "  cpns demo --transport tcp:127.0.0.1:7000,mtu=200\n  cpns demo --keep trial --json");
  c->callback([o, &code] { code = demo(*o); });
}

}  // namespace cpns::cli
