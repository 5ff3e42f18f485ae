#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  bool overtakes() override { return ++sent_ % 50 == 0; }
  unsigned sent_ = 0;
};

}  // namespace

BAD_PLUGIN(faulty);
