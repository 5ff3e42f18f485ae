#include "cli/plugin_argument.hpp"

#include <filesystem>

#include "config/check_settings.hpp"
#include "plugins/host/loader.hpp"
#include "plugins/host/moniker.hpp"

namespace cpns::cli {

namespace fs = std::filesystem;
using conformance::laid_over;
using plugins::transport_role;

result<conformance::subject> read_plugin_argument(const std::string& text, const std::string& config,
                                                  const conformance::params& central,
                                                  const conformance::params& peripheral) {
  CPNS_TRY(const auto named, plugins::parse_moniker(text));
  const plugins::transport_spec spec{named.plugin, transport_role::central, {}, {}};
  conformance::subject s;
  CPNS_TRY(s.file, plugins::find_plugin(spec));
  s.file = fs::absolute(s.file).string();
  const auto beside = fs::path{s.file}.replace_extension(".check.yaml");
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
  return s;
}

}  // namespace cpns::cli
