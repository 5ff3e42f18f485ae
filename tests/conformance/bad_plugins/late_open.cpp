#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  static cpns_status before_open(const cpns_host*, const cpns_open_args*) {
    bad::pause(2300);
    return CPNS_OK;
  }
};

}  // namespace

BAD_PLUGIN(faulty);
