#pragma once
// Host names and addresses in certificates, which only the HTTP API uses: its clients know a role by its host.

#include <string>
#include <vector>

#include "base/result.hpp"
#include "crypto/tls.hpp"

namespace cpns::crypto {

/// For a client, before its handshake: the server's certificate must have this host name or IP address as a SAN, or the
/// handshake fails. Sends the name to the server (SNI). config_range if it is neither a name nor an address.
status name_host(ssl_st* ssl, const std::string& host);

/// The DNS names and IP addresses in the own certificate, as text; names with a '*' are left out.
std::vector<std::string> own_hosts(const ssl_st* ssl);

}  // namespace cpns::crypto
