#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/seldom.hpp"
#include "crypto/tls.hpp"
#include "crypto/tls_psk.hpp"

namespace cpns::crypto {

namespace detail {
struct certificate_end;
}

/// A role runs longer than its certificate is valid: reads its files again once per minute, so that a renewed
/// certificate is used without a restart. While the own certificate is expired or not yet valid, context()
/// fails, so that it is never presented; the role logs that, waits, and goes on with all work that needs no
/// connection. Logs, once per day, that the own certificate or one that issued it ends within 30 days, that a CRL
/// is late, and that the own certificate was revoked. A CRL file that cannot be used is logged, and the former
/// CRLs stay in use, beside a new certificate. [thread-safe]
class tls_source {
 public:
  static constexpr seconds reads_every{60};
  static constexpr std::chrono::days reminds_every{1};

  /// Errors as of make_server_tls and make_client_tls, except for the dates of the certificate: the clock may be
  /// wrong, or a new certificate may come. `component` names the role in the log; `timer` is the clock for
  /// reading again, `wall` the clock for dates.
  static result<std::shared_ptr<tls_source>>
  for_server(std::string component, tls_files files, clock_fn wall = now_wall, clock_fn timer = now_anchored);
  static result<std::shared_ptr<tls_source>>
  for_client(std::string component, tls_files files, clock_fn wall = now_wall, clock_fn timer = now_anchored);
  /// Of the listener of a role's HTTP API.
  static result<std::shared_ptr<tls_source>> for_api(std::string component, tls_files files,
                                                     clock_fn wall = now_wall, clock_fn timer = now_anchored);
  /// Of a client of a service with a host name. `setting`: where the YAML file names the files.
  static result<std::shared_ptr<tls_source>> for_service(std::string component, tls_files files,
                                                         std::string setting, clock_fn wall = now_wall,
                                                         clock_fn timer = now_anchored);

  /// Lets gateways in by pre-shared key, too (accept_psk): call it once, before the first connection.
  [[nodiscard]] status accept_psk(psk_lookup lookup);
  /// For a new connection. crypto_certificate while the own certificate is expired or not yet valid.
  [[nodiscard]] result<tls_context> context();
  /// Reads the files now. If they cannot be used, that is logged and the former context stays. Certificates that
  /// end soon are logged again.
  void read_again();
  /// Reads the files if that is due; logs if the certificate is expired, ends soon, or is not yet valid.
  void look();
  /// As own_uri. A gateway's new certificate with another URI is refused.
  [[nodiscard]] result<std::string> uri() const;

  /// Why an open connection has to end although its handshake succeeded: the peer's certificate, or an
  /// intermediate, is in the CRLs that were read since. In the thread that drives the connection.
  [[nodiscard]] std::optional<std::string> revoked(const ssl_st* ssl) const;
  /// The end of each certificate and CRL that the role depends on, by part: own, intermediate, ca, crl; of several of
  /// one part, the first end.
  [[nodiscard]] std::map<std::string, time_point> ends() const;
  /// Grows whenever other CRLs are in use: then the role checks its open connections.
  [[nodiscard]] std::uint64_t crl_changes() const;

 private:
  tls_source(std::string component, tls_files files, tls_role role, std::string setting, tls_context first,
             clock_fn wall, clock_fn timer);
  static result<std::shared_ptr<tls_source>> open(std::string component, tls_files files, tls_role role,
                                                  std::string setting, clock_fn wall, clock_fn timer);
  // With the guard held:
  void use(tls_context fresh);
  void read();
  [[nodiscard]] status in_time();
  void remind();
  void note_crls(const status& fault);
  const std::string component_;
  const tls_files files_;
  const tls_role role_;
  const std::string setting_;  ///< where the YAML file names these files
  const clock_fn wall_, timer_;
  mutable std::mutex guard_;
  tls_context context_;
  std::shared_ptr<const psk_lookup> psk_;      ///< null: certificates alone
  std::vector<detail::certificate_end> ends_;  ///< of the certificates in `context_`
  time_point next_read_;
  seldom unusable_, crl_unusable_, out_of_time_, own_revoked_;
  std::optional<std::string> revocation_;  ///< of the own certificate
  std::vector<seldom> reminders_;          ///< one for each of `ends_`
  std::uint64_t crl_changes_ = 0;
};

}  // namespace cpns::crypto
