#pragma once
// Shared by the source files of the development CA. Private to crypto/.

#include <string>

#include "base/result.hpp"
#include "crypto/openssl_handles.hpp"
#include "crypto/pki.hpp"

namespace cpns::crypto::detail {

/// crypto_certificate with this detail; empties OpenSSL's queue of errors.
tl::unexpected<error> unusable(std::string detail);

struct signing_ca {
  x509_ptr certificate;
  pkey_ptr key;
};
/// crypto_certificate unless it is a CA's certificate with its private key.
result<signing_ca> signing_ca_of(const identity& ca);

}  // namespace cpns::crypto::detail
