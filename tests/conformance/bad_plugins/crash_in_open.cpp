#include "small_radio.hpp"

#include <csignal>

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  static cpns_status before_open(const cpns_host* host, const cpns_open_args*) {
    host->log(host->context, CPNS_LOG_INFO, "this goes\nwrong");
    std::raise(SIGSEGV);
    return CPNS_OK;
  }
};

}  // namespace

BAD_PLUGIN(faulty);
