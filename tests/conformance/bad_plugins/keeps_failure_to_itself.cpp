#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  // Accepts the call, but never reports its outcome.
  cpns_status connect(const std::string&) override {
    return role_ == CPNS_ROLE_CENTRAL ? CPNS_OK : CPNS_UNSUPPORTED;
  }
};

}  // namespace

BAD_PLUGIN(faulty);
