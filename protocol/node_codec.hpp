#pragma once
// The messages that a server sends to a gateway by itself, and their acknowledgements: the content of a frame, after
// its 4-byte length. Encoding is deterministic; decoding accepts the exact shape only. Pure and thread-safe.

#include <optional>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "protocol/messages.hpp"

namespace cpns::protocol {

bytes encode(const node_request& r);
result<node_request> decode_node_request(byte_view in);
/// Whether a frame of the server begins as a node_request: it is not an answer then.
bool begins_node_request(byte_view in);

bytes encode(const node_acknowledgement& a);
result<node_acknowledgement> decode_node_acknowledgement(byte_view in);
/// Whether a frame of the gateway begins as a node_acknowledgement: it is not a request then.
bool begins_node_acknowledgement(byte_view in);

/// `host:port` as in Nodes: a name or an IPv4 address of the characters A-Z a-z 0-9 . _ -, or an IPv6 address in
/// brackets; a port from 1 to 65535 without leading zeros.
bool is_node_address(std::string_view text);

}  // namespace cpns::protocol
