#include "small_radio.hpp"

#include <stdexcept>

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  cpns_status send(std::uint64_t l, const std::uint8_t* data, std::size_t size) override {
    if (size > mtu) throw std::length_error{"the frame is too long"};
    return radio::send(l, data, size);
  }
};

}  // namespace

BAD_PLUGIN(faulty);
