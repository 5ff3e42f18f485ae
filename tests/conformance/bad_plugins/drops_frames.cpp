#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  bool loses_frame() override { return ++sent_ % 700 == 0; }
  unsigned sent_ = 0;
};

}  // namespace

BAD_PLUGIN(faulty);
