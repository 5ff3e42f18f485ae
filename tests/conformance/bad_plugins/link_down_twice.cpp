#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  void tell_down(std::uint64_t l) override {
    radio::tell_down(l);
    radio::tell_down(l);
  }
};

}  // namespace

BAD_PLUGIN(faulty);
