#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  static cpns_status check_parameters(const cpns_host*, const cpns_open_args*) { return CPNS_OK; }
};

}  // namespace

BAD_PLUGIN(faulty);
