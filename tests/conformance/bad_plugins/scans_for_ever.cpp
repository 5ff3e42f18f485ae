#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  cpns_status scan(bool) override { return radio::scan(true); }
};

}  // namespace

BAD_PLUGIN(faulty);
