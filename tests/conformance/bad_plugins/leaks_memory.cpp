#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  // The state of an instance is not freed.
  void opened() override { lost_ = new bad::bytes(4000); }
  bad::bytes* lost_ = nullptr;
};

}  // namespace

BAD_PLUGIN(faulty);
