#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  void tell_writable(std::uint64_t) override {}
};

}  // namespace

BAD_PLUGIN(faulty);
