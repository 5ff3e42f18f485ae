#include <algorithm>

#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  cpns_status send(std::uint64_t l, const std::uint8_t* data, std::size_t size) override {
    return radio::send(l, data, std::min<std::size_t>(size, mtu));
  }
};

}  // namespace

BAD_PLUGIN(faulty);
