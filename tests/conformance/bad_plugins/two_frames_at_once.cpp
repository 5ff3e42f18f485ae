#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  // Two threads pass received frames to the host, and both pass those of 30 bytes.
  void hand_up(std::uint64_t l, bad::bytes frame) override {
    std::thread other;
    if (frame.size() == 30) other = std::thread{[this, l, frame] { radio::hand_up(l, frame); }};
    radio::hand_up(l, std::move(frame));
    if (other.joinable()) other.join();
  }
};

}  // namespace

BAD_PLUGIN(faulty);
