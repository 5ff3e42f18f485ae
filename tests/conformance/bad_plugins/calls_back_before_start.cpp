#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  void opened() override { host_->link_up(host_->context, 1, 0, "too early"); }
  std::uint64_t fresh_link() override { return radio::fresh_link() + 1; }
};

}  // namespace

BAD_PLUGIN(faulty);
