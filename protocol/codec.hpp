#pragma once
// Encoders and decoders of both links. Encoding is deterministic; decoding accepts the exact shape only, and its
// errors name the element and the fault. Buffers with keys are secret_bytes. Pure and thread-safe.

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "protocol/messages.hpp"

namespace cpns::protocol {

// ---- radio link (codec.cpp)

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

// ---- server link (link_codec.cpp): the content of a frame, after its 4-byte length

bytes encode(const link_request& r);
result<link_request> decode_link_request(byte_view in);
/// The request with `proof` null, without id and incarnation: the hash input of SCRAM's AuthMessage and of the
/// idempotency record.
bytes encode_for_proof(const key_assignment_request& r);

secret_bytes encode(const link_answer& a);
result<link_answer> decode_link_answer(byte_view in);
/// The request_id of a frame that cannot be decoded, so that the refusal can carry it.
std::optional<request_id> peek_request_id(byte_view in);
/// The same of a frame that says that it is a KeyAssignmentRequest, and of no other.
std::optional<request_id> peek_assignment_request(byte_view in);

}  // namespace cpns::protocol
