#include "small_radio.hpp"

// Keeps every rule and takes its time to tell ends, so that some are told while it is closed.

namespace {

class slow final : public bad::radio {
 public:
  using radio::radio;
  void tell_down(std::uint64_t l) override {
    if (told_++ < 6) bad::pause(role_ == CPNS_ROLE_CENTRAL ? 20 : 60);
    radio::tell_down(l);
  }

 private:
  int told_ = 0;  // in the worker's thread; a flood of ends is told as fast as any
};

}  // namespace

BAD_PLUGIN(slow);
