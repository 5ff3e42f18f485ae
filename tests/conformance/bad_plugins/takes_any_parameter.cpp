#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  static bool knows_parameter(const std::string&) { return true; }
};

}  // namespace

BAD_PLUGIN(faulty);
