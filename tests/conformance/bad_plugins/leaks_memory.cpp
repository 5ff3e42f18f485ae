#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  // Never frees the state of an instance.
  void opened() override { lost_ = new bad::bytes(4000); }
  bad::bytes* lost_ = nullptr;
};

}  // namespace

BAD_PLUGIN(faulty);
