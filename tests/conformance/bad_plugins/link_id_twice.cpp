#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  std::uint64_t fresh_link() override {
    std::uint64_t lowest = 1;
    while (links_.count(lowest) != 0) ++lowest;
    return lowest;
  }
};

}  // namespace

BAD_PLUGIN(faulty);
