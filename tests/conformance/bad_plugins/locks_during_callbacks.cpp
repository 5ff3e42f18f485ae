#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  void hand_up(std::uint64_t l, bad::bytes frame) override {
    std::lock_guard lock{own_};
    radio::hand_up(l, std::move(frame));
  }
  cpns_status send(std::uint64_t l, const std::uint8_t* data, std::size_t size) override {
    std::lock_guard lock{own_};
    return radio::send(l, data, size);
  }
  std::mutex own_;
};

}  // namespace

BAD_PLUGIN(faulty);
