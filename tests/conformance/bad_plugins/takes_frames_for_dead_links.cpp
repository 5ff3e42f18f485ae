#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  cpns_status send(std::uint64_t l, const std::uint8_t* data, std::size_t size) override {
    const auto sent = radio::send(l, data, size);
    return sent == CPNS_NO_LINK ? CPNS_OK : sent;
  }
};

}  // namespace

BAD_PLUGIN(faulty);
