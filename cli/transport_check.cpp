#include "cli/transport_check.hpp"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <random>
#include <sstream>

#include "cli/commands.hpp"
#include "cli/daemon.hpp"
#include "cli/demo/demo.hpp"
#include "cli/plugin_argument.hpp"
#include "plugins/conformance/report.hpp"
#include "plugins/conformance/runner.hpp"
#include "plugins/host/loader.hpp"

namespace cpns::cli {
namespace {

using conformance::verdict;

constexpr std::uint32_t pnes = 3, rekey_seconds = 2;

/// Captures the output of a stream for its scope.
class captured {
 public:
  explicit captured(std::ostream& s) : stream_(s), before_(s.rdbuf(text_.rdbuf())) {}
  ~captured() { stream_.rdbuf(before_); }
  captured(const captured&) = delete;
  captured& operator=(const captured&) = delete;
  [[nodiscard]] std::string last_line() const {
    std::string all = text_.str();
    while (!all.empty() && all.back() == '\n') all.pop_back();
    const auto begin = all.rfind('\n');
    return begin == std::string::npos ? all : all.substr(begin + 1);
  }

 private:
  std::ostream& stream_;
  std::ostringstream text_;
  std::streambuf* before_;
};

void key_assignment(conformance::bench& b) {
  const auto met = b.draw();
  demo_options o;
  o.pnes = pnes;
  o.transport = b.on.file;
  o.rekey_seconds = rekey_seconds;
  o.json = true;
  o.params = met.central;
  o.peer_params = met.peripheral;
  block_signals();
  b.step("a key assignment with all roles in one process");
  int code = exit_failed;
  std::string why;
  {
    const captured out{std::cout}, err{std::cerr};
    code = run_demo(o);
    why = err.last_line();
  }
  conformance::require(code == exit_done,
                       "three PNEs get keys, one is updated and one woken: " +
                           (why.empty() ? "the roles ended with exit code " + std::to_string(code) : why));
}

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

int list_tests(const check_options& o) {
  const auto tests = transport_tests();
  std::cout << (o.format == "json"       ? conformance::list_as_json(tests)
                : o.format == "markdown" ? conformance::list_as_markdown(tests)
                                         : conformance::list_as_text(tests));
  return exit_done;
}

int check_plugin(const check_options& o) {
  if (o.list) return list_tests(o);
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
         o.plugin + " is built into this program and has no file to check: name one, ./" + o.plugin + ".so"});
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
    // A program, or a reader of the file, would mistake a part of a report for the whole.
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

}  // namespace

std::vector<conformance::test> transport_tests() {
  auto out = conformance::all_tests();
  out.push_back({"key-assignment",
                 "Server, gateway and three PNEs over it: keys for all, a periodic update, a wake-up.",
                 "link-comes-up", std::chrono::seconds{150}, key_assignment, true});
  return out;
}

void add_transport_check(CLI::App& transport, int& code) {
  auto* c = transport.add_subcommand("check", "Check that a plugin follows the rules of its interface");
  const auto o = std::make_shared<check_options>();
  c->add_option("PLUGIN", o->plugin,
                "The name of an installed plugin, or FILE.so (a path with a '/'); an ADDRESS and parameters "
                "may follow: "
                "NAME:ADDRESS,NAME=VALUE");
  c->add_option(
       "--config", o->config,
       "The parameters with which its two roles find each other; default: NAME.check.yaml beside the plugin")
      ->check(CLI::ExistingFile);
  add_parameters(*c, "--param", o->central, "A parameter of the central; overrides the file");
  add_parameters(*c, "--peer-param", o->peripheral, "A parameter of the peripheral; overrides the file");
  c->add_option("--test", o->only, "Run this test only; may be given several times")
      ->check([](const std::string& name) {
        const auto tests = transport_tests();
        const bool known =
            std::any_of(tests.begin(), tests.end(), [&](const auto& t) { return t.name == name; });
        return known ? std::string{} : "'" + name + "' is not a test; --list shows all";
      });
  c->add_option("--seed", o->seed, "Repeat the random choices of an earlier run; default: a new seed per run")
      ->check(CLI::PositiveNumber);
  c->add_flag("--list", o->list, "List the tests with their rules");
  c->add_option("--format", o->format, "text, json or junit; with --list text, json or markdown")
      ->check(CLI::IsMember({"text", "json", "junit", "markdown"}))
      ->capture_default_str();
  c->add_option("--output", o->output, "Write the report to this file, and a text report to standard output");
  c->add_flag("--in-process", o->in_process, "Run the test in this process, for a debugger");
  c->footer(
      "Exit codes: 0 no test failed or crashed; 1 otherwise; 2 invalid command line; 130 interrupted.\n\n"
      "Examples:\n"
      "  cpns transport check tcp\n"
      "  cpns transport check tcp:127.0.0.1:7000,mtu=200\n"
      "  cpns transport check ./libradio.so --param channel=3 --peer-param channel=3\n"
      "  cpns transport check ./libradio.so --test calls-in-any-order --seed 7\n"
      "  cpns transport check ./libradio.so --format junit --output report.xml\n"
      "  gdb --args cpns transport check ./libradio.so --test close-returns --in-process");
  c->callback([o, &code] { code = check_plugin(*o); });
}

}  // namespace cpns::cli
