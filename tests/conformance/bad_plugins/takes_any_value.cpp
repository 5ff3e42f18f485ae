#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  // Checks only the names.
  static cpns_status check_parameters(const cpns_host* host, const cpns_open_args* args) {
    for (std::size_t i = 0; i < args->parameter_count; ++i)
      if (const auto* name = args->parameters[i].name; cpns_parameter_find(&bad::known, name) == nullptr)
        return cpns_parameter_refuse(host, name, "this plugin has no such parameter");
    return CPNS_OK;
  }
};

}  // namespace

BAD_PLUGIN(faulty);
