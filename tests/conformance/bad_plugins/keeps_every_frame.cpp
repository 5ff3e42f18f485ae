#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  void hand_up(std::uint64_t l, bad::bytes frame) override {
    kept_.push_back(frame);
    radio::hand_up(l, std::move(frame));
  }
  std::deque<bad::bytes> kept_;
};

}  // namespace

BAD_PLUGIN(faulty);
