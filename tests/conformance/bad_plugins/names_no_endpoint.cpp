#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  void tell_up(std::uint64_t l, std::uint64_t) override { radio::tell_up(l, 0); }
};

}  // namespace

BAD_PLUGIN(faulty);
