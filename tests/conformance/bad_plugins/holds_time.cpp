#include "plugins/abi/ext/clock.h"
#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  void opened() override {
    if (const auto* clock =
            static_cast<const cpns_ext_clock*>(host_->get_extension(host_->context, CPNS_EXT_CLOCK)))
      clock->hold(host_->context);
  }
};

}  // namespace

BAD_PLUGIN(faulty);
