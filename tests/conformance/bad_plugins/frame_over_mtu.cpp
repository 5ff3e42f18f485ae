#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  void hand_up(std::uint64_t l, bad::bytes frame) override {
    if (frame.size() == mtu) frame.push_back(0);
    radio::hand_up(l, std::move(frame));
  }
};

}  // namespace

BAD_PLUGIN(faulty);
