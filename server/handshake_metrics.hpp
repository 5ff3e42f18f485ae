#pragma once
// How the TLS handshakes of gateways end.

#include "metrics/registry.hpp"

namespace cpns::server {

/// Handles; made by default they count nothing. [thread-safe]
struct handshake_metrics {
  metrics::counter accepted;
  metrics::counter certificate;  ///< it does not verify
  metrics::counter revoked;
  metrics::counter psk;       ///< the gateway does not have the pre-shared key that it names
  metrics::counter protocol;  ///< TLS version, ALPN, or no TLS at all
  metrics::counter identity;  ///< a SAN URI that is missing, or that gateway_uris does not accept
  metrics::counter closed;    ///< by the peer
  metrics::counter timeout;

  static handshake_metrics make(metrics::registry& in) {
    const auto outcome = [&in](const char* name) {
      return in.make_counter("cpns_server_tls_handshakes_total",
                             "TLS handshakes of gateways by outcome: accepted, or the class of the refusal.",
                             {{"outcome", name}});
    };
    return {outcome("accepted"), outcome("certificate"), outcome("revoked"), outcome("psk"),
            outcome("protocol"), outcome("identity"),    outcome("closed"),  outcome("timeout")};
  }
};

}  // namespace cpns::server
