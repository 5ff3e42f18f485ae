#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  static cpns_status before_open(const cpns_host*, const cpns_open_args*) {
    for (std::vector<bad::bytes> all;;) {
      all.emplace_back(8u << 20, std::uint8_t{1});
      bad::pause(2);
    }
  }
};

}  // namespace

BAD_PLUGIN(faulty);
