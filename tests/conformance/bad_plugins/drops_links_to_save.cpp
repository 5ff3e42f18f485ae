#include "plugins/abi/ext/power.h"
#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  const void* extension(const std::string& id) override {
    static constexpr cpns_ext_power table{sizeof(cpns_ext_power), 0, [](void* c, std::uint32_t power) {
                                            if (power != CPNS_POWER_FULL && power != CPNS_POWER_SAVING)
                                              return CPNS_UNSUPPORTED;
                                            auto& me = *static_cast<faulty*>(static_cast<radio*>(c));
                                            if (power == CPNS_POWER_SAVING) me.disconnect(me.last_link_);
                                            return CPNS_OK;
                                          }};
    return id == CPNS_EXT_POWER ? &table : nullptr;
  }
};

}  // namespace

BAD_PLUGIN(faulty);
