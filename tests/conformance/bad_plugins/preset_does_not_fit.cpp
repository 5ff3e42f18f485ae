#include "small_radio.hpp"

namespace {

constexpr cpns_parameter_spec specs[] = {
    bad::specs[0],
    {"channel", "A number without an effect.", CPNS_PARAMETER_NUMBER, CPNS_PARAMETER_OF_BOTH, "41", 1, 40,
     nullptr},
};

}  // namespace

BAD_PLUGIN_WITH(bad::radio, specs, 2);
