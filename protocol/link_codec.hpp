#pragma once
// Bytes of the server link: what follows the 4-byte length of a frame. Deterministic and strict like
// codec.hpp. Buffers that hold keys are secret_bytes. Pure and thread-safe.

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "protocol/messages.hpp"

namespace cpns::protocol {

bytes encode(const link_request& r);
result<link_request> decode_link_request(byte_view in);
/// The request with `proof` null, without id and incarnation: what SCRAM's AuthMessage and the idempotency
/// record hash.
bytes encode_for_proof(const key_assignment_request& r);

secret_bytes encode(const link_answer& a);
result<link_answer> decode_link_answer(byte_view in);
/// The request_id of a frame that is otherwise not understood, so that the refusal can be matched.
std::optional<request_id> peek_request_id(byte_view in);

}  // namespace cpns::protocol
