#pragma once
// How the TLS handshakes of clients end.

#include <array>
#include <cstddef>
#include <cstdint>

namespace cpns::api {

enum class handshake_end : std::uint8_t {
  accepted,
  certificate,  ///< missing, or it does not verify
  revoked,
  protocol,   ///< TLS version, ALPN, or no TLS at all
  identity,   ///< no SAN URI, or more than one
  closed,     ///< by the client
  timeout,    ///< after its first byte
  displaced,  ///< by a newer one, because too many were in progress
};

/// By handshake_end, for metrics.
inline constexpr std::array handshake_end_names{"accepted", "certificate", "revoked", "protocol",
                                                "identity", "closed",      "timeout", "displaced"};

constexpr std::size_t index_of(handshake_end e) { return static_cast<std::size_t>(e); }

}  // namespace cpns::api
