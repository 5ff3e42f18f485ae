#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  void close() override {
    const auto* host = host_;
    const bool had_links = last_link_ > 0;
    radio::close();
    if (had_links)
      std::thread{[host] {
        bad::pause(20);
        host->writable(host->context, 1);
      }}.detach();
  }
};

}  // namespace

BAD_PLUGIN(faulty);
