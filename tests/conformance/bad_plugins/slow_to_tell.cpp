#include "small_radio.hpp"

// No fault: reports the ends of links late, so that some reports run during close.

namespace {

class slow final : public bad::radio {
 public:
  using radio::radio;
  void tell_down(std::uint64_t l) override {
    if (reported_++ < 6) bad::pause(role_ == CPNS_ROLE_CENTRAL ? 20 : 60);
    radio::tell_down(l);
  }

 private:
  int reported_ = 0;  // only used in the worker's thread; later ends are reported without delay
};

}  // namespace

BAD_PLUGIN(slow);
