#pragma once
// The TLS context of a role that lives longer than its certificate.

#include <memory>
#include <mutex>
#include <string>

#include "base/clock.hpp"
#include "base/seldom.hpp"
#include "crypto/tls.hpp"

namespace cpns::crypto {

/// Reads the files of a role again once a minute, so that a certificate that was renewed on the disk is shown
/// without a restart, and gives out no context while one's own certificate is out of its time: an expired
/// certificate is never presented. A role waits for that to end; it says so in the log, and goes on with
/// whatever needs no certificate. [thread-safe]
class tls_source {
 public:
  static constexpr seconds reads_every{60};

  /// Errors: those that a person has to mend, as make_server_tls and make_client_tls name them. A certificate
  /// out of its time is none, because the clock may be wrong, or a new certificate on its way. `component`
  /// names the role in the log; `timer` says when to read again, `wall` what is out of its time.
  static result<std::shared_ptr<tls_source>>
  for_server(std::string component, tls_files files, clock_fn wall = now_wall, clock_fn timer = now_anchored);
  static result<std::shared_ptr<tls_source>>
  for_client(std::string component, tls_files files, clock_fn wall = now_wall, clock_fn timer = now_anchored);

  /// For a connection that begins now. crypto_certificate while one's own certificate is out of its time.
  [[nodiscard]] result<tls_context> context();
  /// Reads the files now. What cannot be used is logged, and the context before it stays.
  void read_again();
  /// Reads the files if that is due, and says so if the certificate is out of its time.
  void look();
  /// As own_uri of the first context. The certificate of a gateway keeps it, or is refused.
  [[nodiscard]] result<std::string> uri() const;

 private:
  enum class side : std::uint8_t { server, client };
  tls_source(std::string component, tls_files files, side s, tls_context first, clock_fn wall,
             clock_fn timer);
  static result<std::shared_ptr<tls_source>> open(std::string component, tls_files files, side s,
                                                  clock_fn wall, clock_fn timer);
  // With the guard held:
  void read();
  [[nodiscard]] status in_time();

  const std::string component_;
  const tls_files files_;
  const side side_;
  const clock_fn wall_, timer_;
  mutable std::mutex guard_;
  tls_context context_;
  time_point next_read_;
  seldom unusable_, out_of_time_;
};

}  // namespace cpns::crypto
