#include "small_radio.hpp"

#include <unistd.h>

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  void close() override {
    for (;;) ::pause();
  }
};

}  // namespace

BAD_PLUGIN(faulty);
