#pragma once
// One handshake with a server, for `cpns doctor`.

#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "crypto/tls.hpp"

namespace cpns::crypto {

struct tls_greeting {
  std::string uri;  ///< the server's SAN URI
  time_point ends;  ///< the end of its certificate
};

/// Does a handshake as the client over the connected socket `fd`, checks ALPN and `server_uri`, and closes the
/// connection with a TLS close_notify, without a frame. Waits for the server's close_notify, because a TLS 1.3
/// client learns only at its first read that it was refused. `fd` stays open; it becomes non-blocking. `context`
/// is one of make_client_tls. The caller ignores SIGPIPE. peer_timeout after `timeout`; peer_policy, peer_identity; peer_closed with the
/// reason, if a side refused the other.
result<tls_greeting> try_handshake(int fd, const tls_context& context, std::string_view server_uri,
                                   milliseconds timeout);

}  // namespace cpns::crypto
