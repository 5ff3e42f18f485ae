#pragma once
// Bytes of the radio link. Encoding is deterministic; decoding accepts the exact shape only and names what is
// wrong. Pure and thread-safe.

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "protocol/messages.hpp"

namespace cpns::protocol {

bytes encode(const discovery_request& m);
bytes encode(const discovery_response& m);
/// E(first eight elements of DRSP), the input of th1.
bytes encode_first_eight(const discovery_response& m);
bytes encode(const key_delivery& m);
bytes encode(const key_confirmation& m);
bytes encode(const key_retire& m);
bytes encode(const pne_notice& m);
bytes encode(const failure& m);

/// Any message of the radio link, at most radio_message_max bytes.
result<radio_message> decode_radio(byte_view in);

/// E([EUKey(32), owner_tag(16), rekey_seconds]), the plaintext of a KDEL.
secret_bytes encode(const delivery_content& c);
result<delivery_content> decode_delivery_content(byte_view in);
/// AAD = E(["Encrypt0", h'A10103', th2]) (RFC 9052 section 5.3).
bytes delivery_aad(const byte_array<32>& th2);

}  // namespace cpns::protocol
