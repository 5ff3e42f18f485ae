#include "cli/plugin_argument.hpp"

#include <algorithm>
#include <filesystem>

#include "base/text.hpp"
#include "config/loader.hpp"
#include "plugins/host/loader.hpp"
#include "plugins/host/moniker.hpp"

namespace cpns::cli {

namespace fs = std::filesystem;
using conformance::laid_over;
using plugins::transport_role;

namespace {

/// NAME.check.yaml beside the plugin; for one that is built into this program, where its file would be.
fs::path check_file_of(const std::string& plugin) {
  std::error_code wrong;
  if (!plugins::is_linked(plugin)) return fs::path{plugin}.replace_extension(".check.yaml");
  const auto name = plugin.substr(plugin.find(':') + 1) + ".check.yaml";
  for (const auto& folder : plugins::default_plugin_dirs())
    if (fs::is_regular_file(fs::path{folder} / name, wrong)) return fs::path{folder} / name;
  return {};
}

/// The first parameter of the command line that the plugin refuses, with the word that holds it.
status check_words(const plugins::transport_spec& spec, const plugins::moniker& named,
                   const std::string& text, transport_role role, const conformance::params& option,
                   std::string_view option_name, const conformance::params& all) {
  const auto plugin = plugins::describe_transport(spec);
  if (!plugin) return {};  // opening it reports why
  for (const auto& p : plugins::check_parameters(*plugin, role, all)) {
    const auto known = std::find_if(plugin->parameters.begin(), plugin->parameters.end(),
                                    [&](const auto& d) { return d.name == p.name; });
    const bool address = known != plugin->parameters.end() && known->is_address() && !named.address.empty();
    if (const auto it = option.find(p.name); it != option.end())
      return fail(errc::config_usage,
                  std::string{option_name} + " " + shown(it->first + "=" + it->second) + ": " + p.text);
    if (named.params.contains(p.name) || address)
      return fail(errc::config_usage, shown(text) + ": " + p.text);
  }
  return {};
}

}  // namespace

result<conformance::subject> read_plugin_argument(const std::string& text, const std::string& config,
                                                  const conformance::params& central,
                                                  const conformance::params& peripheral) {
  CPNS_TRY(const auto named, plugins::parse_moniker(text));
  const plugins::transport_spec spec{named.plugin, transport_role::central, {}, {}};
  conformance::subject s;
  CPNS_TRY(s.file, plugins::find_plugin(spec));
  if (!plugins::is_linked(s.file)) s.file = fs::absolute(s.file).string();
  const auto beside = check_file_of(s.file);
  std::error_code wrong;
  if (!config.empty() || fs::is_regular_file(beside, wrong)) {
    const auto known = config::load_check_settings(config.empty() ? beside : fs::path{config});
    if (!known) return fail(known.error().as_error());
    s.central = laid_over(known->both, known->central);
    s.peripheral = laid_over(known->both, known->peripheral);
    s.few_links = known->few_links;
    s.refused = known->refused;
  }
  if (!named.address.empty() || !named.params.empty()) {
    CPNS_TRY(const auto plugin, plugins::describe_transport(spec));
    CPNS_TRY(const auto of_central, plugins::params_of(named, plugin, transport_role::central));
    CPNS_TRY(const auto of_peripheral, plugins::params_of(named, plugin, transport_role::peripheral));
    s.central = laid_over(std::move(s.central), of_central);
    s.peripheral = laid_over(std::move(s.peripheral), of_peripheral);
  }
  s.central = laid_over(std::move(s.central), central);
  s.peripheral = laid_over(std::move(s.peripheral), peripheral);
  if (named.address.empty() && named.params.empty() && central.empty() && peripheral.empty()) return s;
  CPNS_CHECK(check_words(spec, named, text, transport_role::central, central, "--param", s.central));
  CPNS_CHECK(
      check_words(spec, named, text, transport_role::peripheral, peripheral, "--peer-param", s.peripheral));
  return s;
}

void add_parameters(CLI::App& command, const std::string& option, std::map<std::string, std::string>& into,
                    const std::string& help) {
  command
      .add_option_function<std::vector<std::string>>(
          option,
          [&into](const std::vector<std::string>& all) {
            for (const auto& text : all) {
              const auto equals = text.find('=');
              into[text.substr(0, equals)] = text.substr(equals + 1);
            }
          },
          help)
      ->type_name("NAME=VALUE")
      ->expected(1)
      ->take_all()
      ->check([](const std::string& text) {
        const auto equals = text.find('=');
        return equals == std::string::npos || equals == 0 ? "'" + text + "' is not of the form NAME=VALUE"
                                                          : std::string{};
      });
}

}  // namespace cpns::cli
