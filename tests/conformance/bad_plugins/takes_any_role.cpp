#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  static bool knows_role(std::uint32_t) { return true; }
};

}  // namespace

BAD_PLUGIN(faulty);
