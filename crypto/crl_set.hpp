#pragma once
// The certificate revocation lists (CRLs) of `tls.crl`. Private to crypto/.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "crypto/openssl_handles.hpp"
#include "crypto/tls.hpp"

namespace cpns::crypto::detail {

struct certificate_end;

/// OpenSSL would verify the signature of a CRL at each handshake, and refuse everybody once the CRL is over its
/// date (docs/adr/0026-secrets-of-a-running-role.md). This class verifies a CRL once, when it is read; a
/// handshake only looks up serial numbers. Immutable. [thread-safe]
class crl_set {
 public:
  static constexpr std::size_t file_size_max = 16 << 20;

  /// Reads files.crl, whose lists must be signed by CAs among `roots` and `chain` that may sign CRLs. Returns
  /// `before` if it was made of the same content and CAs. config_file (cannot be read), config_range (over 16
  /// MiB), crypto_certificate: not PEM, damaged, signed by none of the CAs, a delta CRL, an indirect CRL.
  static result<std::shared_ptr<const crl_set>> read(const tls_files& files,
                                                     const std::vector<x509_ptr>& roots,
                                                     const std::vector<x509_ptr>& chain,
                                                     const std::shared_ptr<const crl_set>& before);

  enum class verdict : std::uint8_t { good, revoked, unlisted };  ///< unlisted: no CRL of this issuer
  /// Judges a certificate that `issuer` has signed.
  [[nodiscard]] verdict judge(X509* certificate, X509* issuer) const;
  /// Whether there is a list of this CA.
  [[nodiscard]] bool covers(const X509* ca) const;
  /// "serial 4F.., revoked on DATE", for a certificate with the verdict `revoked`.
  [[nodiscard]] std::string note(X509* certificate) const;
  /// The newest list of each CA, if it has an end.
  [[nodiscard]] std::vector<certificate_end> ends() const;
  /// The number of entries in all lists.
  [[nodiscard]] std::size_t entries() const;

 private:
  struct list {
    x509_crl_ptr crl;
    byte_array<32> issuer{};  ///< digest of the CA's public key
    std::string ca;           ///< the CA's name, for people
    time_point from, to;      ///< `to`: time_never without an end
  };
  byte_array<32> source_{};  ///< digest of the file and of the CAs
  std::vector<list> lists_;
};
using crl_set_ptr = std::shared_ptr<const crl_set>;

/// Attaches the lists to a context, for check_revocation; a null pointer switches the check off.
[[nodiscard]] bool attach(SSL_CTX* context, crl_set_ptr lists);
/// The lists of a context; null without.
[[nodiscard]] crl_set_ptr crls_of(const SSL_CTX* context);

/// For the verify callback, when the signature of the current certificate is good: X509_V_OK,
/// X509_V_ERR_CERT_REVOKED, or X509_V_ERR_UNABLE_TO_GET_CRL if the peer's own certificate comes from a CA without
/// a list. An intermediate counts as good then.
[[nodiscard]] int check_revocation(const SSL* ssl, X509_STORE_CTX* store) noexcept;

/// "NAME, serial 4F.., revoked on DATE" for the first certificate of this verified chain that is revoked.
[[nodiscard]] std::optional<std::string> revoked_in(const STACK_OF(X509) * chain, const crl_set& lists);

/// Upper-case hexadecimal, as openssl prints a serial number.
std::string upper_hex(byte_view b);
/// The serial number as openssl prints it.
std::string serial_text(const X509* certificate);

}  // namespace cpns::crypto::detail
