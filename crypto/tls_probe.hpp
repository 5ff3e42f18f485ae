#pragma once
// One handshake with a server, for `cpns doctor`.

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "crypto/tls.hpp"

namespace cpns::crypto {

struct tls_greeting {
  std::string name;                ///< `expected`
  std::optional<time_point> ends;  ///< of the server's certificate; nullopt: both have a key
};

/// Does a handshake as the client over the connected socket `fd`, checks ALPN and `expected` (the server's SAN URI, or the
/// identity whose key both have), and closes the connection with a TLS close_notify, without a frame. Waits for the
/// server's close_notify, because a TLS 1.3 client learns only at its first read that it was refused. `fd` stays open; it
/// becomes non-blocking. `context` is one of make_client_tls, or of make_psk_client_tls. The caller ignores SIGPIPE.
/// peer_timeout after `timeout`; peer_policy, peer_identity; peer_closed with the reason, if a side refused the other.
result<tls_greeting> try_handshake(int fd, const tls_context& context, std::string_view expected,
                                   milliseconds timeout);

}  // namespace cpns::crypto
