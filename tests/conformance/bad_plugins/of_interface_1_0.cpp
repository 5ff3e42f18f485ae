// No fault: a radio built for interface 1.0.
#include "small_radio.hpp"

namespace {

class old final : public bad::radio {
 public:
  using radio::radio;
  void opened() override {
    table_.size = offsetof(cpns_transport, get_extension) + sizeof table_.get_extension;
  }
};

}  // namespace

extern "C" CPNS_EXPORT const cpns_transport_entry_t cpns_transport_entry = {
    offsetof(cpns_transport_entry_t, parameters),
    CPNS_ABI_MAJOR,
    0,
    0,
    "small",
    "1",
    "A radio of interface 1.0",
    &bad::open<old>,
    nullptr,
    0,
    0};
