#include <algorithm>
#include <fstream>
#include <iostream>
#include <random>

#include "cli/commands.hpp"
#include "cli/parameters.hpp"
#include "cli/plugin_argument.hpp"
#include "cli/signals.hpp"
#include "cli/terminal.hpp"
#include "cli/transport_check.hpp"
#include "cli/transport_new.hpp"
#include "cli/transport_show.hpp"
#include "plugins/conformance/report.hpp"
#include "plugins/conformance/runner.hpp"
#include "plugins/host/loader.hpp"

namespace cpns::cli {
namespace {

using conformance::verdict;

struct check_options {
  std::string plugin, config, format = "text", output;
  std::vector<std::string> only;
  conformance::params central, peripheral;
  std::uint64_t seed = 0;
  bool list = false, in_process = false;
};

std::string painted(verdict v, const std::string& word) {
  switch (v) {
  case verdict::passed: return paint(colour::green, word);
  case verdict::failed:
  case verdict::crashed: return paint(colour::red, word);
  case verdict::warning: return paint(colour::yellow, word);
  case verdict::skipped: return paint(colour::dim, word);
  }
  return word;
}

int list(const check_options& o) {
  const auto tests = transport_tests();
  std::cout << (o.format == "json"       ? conformance::list_as_json(tests)
                : o.format == "markdown" ? conformance::list_as_markdown(tests)
                                         : conformance::list_as_text(tests));
  return exit_done;
}

int check(const check_options& o) {
  if (o.list) return list(o);
  if (o.plugin.empty()) return report({errc::config_usage, "check needs a plugin: its name or FILE.so"});
  if (o.format == "markdown") return report({errc::config_usage, "--format markdown is for --list"});
  if (o.in_process && o.only.size() != 1)
    return report({errc::config_usage, "--in-process runs one test: name one with --test"});
  auto tests = transport_tests();
  if (!o.only.empty())
    std::erase_if(tests, [&o](const auto& t) {
      return std::find(o.only.begin(), o.only.end(), t.name) == o.only.end();
    });
  auto on = read_plugin_argument(o.plugin, o.config, o.central, o.peripheral);
  if (!on) return report(on.error());
  if (plugins::is_linked(on->file))
    return report(
        {errc::config_usage,
         o.plugin + " is part of this program and has no file to check: name one, ./" + o.plugin + ".so"});
  on->seed = o.seed != 0 ? o.seed : std::random_device{}();
  const conformance::heading heading{o.plugin, on->seed};
  std::vector<conformance::outcome> all;
  if (o.in_process) {
    auto one = conformance::run_here(*on, tests.front());
    if (!one) return report(one.error());
    all.push_back(std::move(*one));
  } else {
    block_signals();
    auto ran = conformance::run_all(*on, tests,
                                    {[](std::size_t done, std::size_t of, std::string_view name) {
                                       show_status(bar(done, of) + " " + std::string{name});
                                     },
                                     cancelled});
    clear_status();
    if (!ran) return report(ran.error());
    all = std::move(*ran);
  }
  const auto text = conformance::as_text(heading, all, painted);
  if (all.size() < tests.size()) {
    // A part of a report in a file or for a program would be taken for all of it.
    if (o.format == "text" || !o.output.empty()) std::cout << text << std::flush;
    return interrupted("after " + std::to_string(all.size()) + " of " + std::to_string(tests.size()) +
                       " tests" + (o.output.empty() ? "" : "; " + o.output + " is not written"));
  }
  const auto wanted = o.format == "json"    ? conformance::as_json(heading, all)
                      : o.format == "junit" ? conformance::as_junit(heading, all)
                      : o.output.empty()    ? text
                                            : conformance::as_text(heading, all);
  std::cout << (o.output.empty() ? wanted : text) << std::flush;
  if (!o.output.empty() && !(std::ofstream{o.output, std::ios::binary} << wanted << std::flush))
    return report({errc::config_file, o.output + " cannot be written"});
  return conformance::all_well(all) ? exit_done : exit_failed;
}

void add_check(CLI::App& transport, int& code) {
  auto* c = transport.add_subcommand("check", "Ask whether a plugin keeps the rules of its interface");
  const auto o = std::make_shared<check_options>();
  c->add_option(
      "PLUGIN", o->plugin,
      "FILE.so (a path with a '/') or the name of an installed plugin; an ADDRESS and parameters may "
      "follow: NAME:ADDRESS,NAME=VALUE");
  c->add_option("--config", o->config,
                "How its two roles find each other, instead of NAME.check.yaml beside the plugin")
      ->check(CLI::ExistingFile);
  add_parameters(*c, "--param", o->central, "A parameter of the central, laid over those of the file");
  add_parameters(*c, "--peer-param", o->peripheral, "A parameter of the peripheral");
  c->add_option("--test", o->only, "Run this test alone; may be given several times")
      ->check([](const std::string& name) {
        const auto tests = transport_tests();
        const bool known =
            std::any_of(tests.begin(), tests.end(), [&](const auto& t) { return t.name == name; });
        return known ? std::string{} : "there is no test '" + name + "'; --list names all";
      });
  c->add_option("--seed", o->seed, "Draw what an earlier run drew; without it each run draws anew")
      ->check(CLI::PositiveNumber);
  c->add_flag("--list", o->list, "Print the tests and their sentences");
  c->add_option("--format", o->format, "text, json or junit; with --list text, json or markdown")
      ->check(CLI::IsMember({"text", "json", "junit", "markdown"}))
      ->capture_default_str();
  c->add_option("--output", o->output, "Write the report to this file, and text to standard output");
  c->add_flag("--in-process", o->in_process, "Run the test in this process, for a debugger");
  c->footer(
      "Exit codes: 0 no test failed or crashed; 1 otherwise; 2 the command line is wrong; 130 "
      "interrupted.\n\nExamples:\n"
      "  cpns transport check tcp\n  cpns transport check tcp:127.0.0.1:7000,mtu=200\n  cpns transport check "
      "./libradio.so --param channel=3 --peer-param "
      "channel=3\n  cpns transport check ./libradio.so --test calls-in-any-order --seed 7\n"
      "  cpns transport check ./libradio.so --format junit --output report.xml\n"
      "  gdb --args cpns transport check ./libradio.so --test close-returns --in-process");
  c->callback([o, &code] { code = check(*o); });
}

}  // namespace

void add_transport(CLI::App& app, int& code) {
  auto* transport = app.add_subcommand("transport", "For authors of radio plugins");
  transport->require_subcommand(1);
  add_list(*transport, code);
  add_show(*transport, code);
  add_check(*transport, code);
  add_new(*transport, code);
}

}  // namespace cpns::cli
