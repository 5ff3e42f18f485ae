#include "small_radio.hpp"

#include <fcntl.h>

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  void opened() override { (void)::open("/dev/null", O_RDONLY | O_CLOEXEC); }
};

}  // namespace

BAD_PLUGIN(faulty);
