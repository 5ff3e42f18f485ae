#include "small_radio.hpp"

#include <csignal>

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  static cpns_status before_open(const cpns_host*, const cpns_open_args*) {
    std::raise(SIGSEGV);
    return CPNS_OK;
  }
};

}  // namespace

BAD_PLUGIN(faulty);
