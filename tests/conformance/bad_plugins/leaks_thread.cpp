#include "small_radio.hpp"

#include <unistd.h>

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  void opened() override {
    std::thread{[] { ::pause(); }}.detach();
  }
};

}  // namespace

BAD_PLUGIN(faulty);
