#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  // Reports the link down, and then passes one more frame from its buffer.
  void tell_down(std::uint64_t l) override {
    const std::uint8_t last[20] = {};
    radio::tell_down(l);
    host_->frame(host_->context, l, last, sizeof last);
  }
};

}  // namespace

BAD_PLUGIN(faulty);
