#include "plugins/abi/ext/rssi.h"
#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  const void* extension(const std::string& id) override {
    static constexpr cpns_ext_rssi table{sizeof(cpns_ext_rssi), 0, nullptr};
    return id == CPNS_EXT_RSSI ? &table : nullptr;
  }
};

}  // namespace

BAD_PLUGIN(faulty);
