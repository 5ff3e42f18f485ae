// decode_link_request: any bytes give an error, or a message that encodes to the same bytes.

#include <cstdlib>

#include "protocol/codec.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cpns;
  using namespace cpns::protocol;
  const byte_view in{data, size};
  const auto m = decode_link_request(in);
  if (!m) {
    if (fault_of(m.error().code) != fault::wire || m.error().detail.empty()) std::abort();
    return 0;
  }
  if (!equal(encode(*m), in)) std::abort();
  return 0;
}
