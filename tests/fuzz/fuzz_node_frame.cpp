// decode_node_request and decode_node_acknowledgement: any bytes give an error, or a message that encodes to the same
// bytes.

#include <cstdlib>

#include "protocol/node_codec.hpp"

namespace {

template <class Message>
void check(const cpns::result<Message>& m, bool begins, cpns::byte_view in) {
  using namespace cpns;
  if (!m) {
    if (fault_of(m.error().code) != fault::wire || m.error().detail.empty()) std::abort();
    return;
  }
  if (!begins || !equal(protocol::encode(*m), in)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cpns::protocol;
  const cpns::byte_view in{data, size};
  check(decode_node_request(in), begins_node_request(in), in);
  check(decode_node_acknowledgement(in), begins_node_acknowledgement(in), in);
  return 0;
}
