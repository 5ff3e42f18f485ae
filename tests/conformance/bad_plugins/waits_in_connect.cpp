#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  // Blocks, as if it resolved the address.
  cpns_status connect(const std::string& address) override {
    if (address.size() > 1000) bad::pause(5500);
    return CPNS_UNSUPPORTED;
  }
};

}  // namespace

BAD_PLUGIN(faulty);
