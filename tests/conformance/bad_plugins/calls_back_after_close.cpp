#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  void close() override {
    std::thread{[host = host_] {
      bad::pause(20);
      host->writable(host->context, 1);
    }}.detach();
    radio::close();
  }
};

}  // namespace

BAD_PLUGIN(faulty);
