#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  bool has_room() override { return true; }
};

}  // namespace

BAD_PLUGIN(faulty);
