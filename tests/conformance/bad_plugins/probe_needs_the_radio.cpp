#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  // Requires exclusive use of the adapter, even for a probe.
  static cpns_status before_open(const cpns_host*, const cpns_open_args* args) {
    std::lock_guard lock{bad::air().guard};
    return args->probe && !bad::air().radios.empty() ? CPNS_UNAVAILABLE : CPNS_OK;
  }
};

}  // namespace

BAD_PLUGIN(faulty);
