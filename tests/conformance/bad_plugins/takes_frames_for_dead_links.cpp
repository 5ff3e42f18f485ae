#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  cpns_status send(std::uint64_t l, const std::uint8_t* data, std::size_t size) override {
    const auto said = radio::send(l, data, size);
    return said == CPNS_NO_LINK ? CPNS_OK : said;
  }
};

}  // namespace

BAD_PLUGIN(faulty);
