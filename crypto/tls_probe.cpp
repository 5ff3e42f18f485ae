#include "crypto/tls_probe.hpp"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>

#include <openssl/err.h>
#include <openssl/sslerr.h>

#include "crypto/tls_internal.hpp"
#include "crypto/tls_psk.hpp"

namespace cpns::crypto {
namespace {

using namespace detail;

using ssl_ptr = handle<SSL, SSL_free>;
using monotonic = std::chrono::steady_clock;

/// Waits until the socket is ready for what SSL wants; false at the deadline.
bool socket_ready(int fd, int wants, monotonic::time_point until) {
  pollfd one{fd, static_cast<short>(wants == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN), 0};
  for (;;) {
    const auto left = std::chrono::duration_cast<milliseconds>(until - monotonic::now()).count();
    const int n = ::poll(&one, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000)));
    if (n > 0) return true;
    if (n == 0 && left <= 0) return false;
    if (n < 0 && errno != EINTR) return true;  // the next call to SSL reports it
  }
}

/// Repeats a call of OpenSSL until it is done or fails: its last result. nullopt at the deadline.
template <class Call>
std::optional<int> run_tls(SSL* ssl, int fd, monotonic::time_point until, Call call) {
  for (;;) {
    ERR_clear_error();
    errno = 0;
    const int n = call(ssl);
    const int kind = SSL_get_error(ssl, n);
    if (n > 0 || (kind != SSL_ERROR_WANT_READ && kind != SSL_ERROR_WANT_WRITE)) return n;
    if (!socket_ready(fd, kind, until)) return std::nullopt;
  }
}

tl::unexpected<error> late(std::string_view what, milliseconds timeout) {
  return fail(errc::peer_timeout, std::string{what} + " within " + std::to_string(timeout.count()) + " ms");
}

tl::unexpected<error> broken(SSL* ssl, int n) {
  const int number = errno;
  const int kind = SSL_get_error(ssl, n);
  if (kind == SSL_ERROR_SSL) return fail(errc::peer_closed, tls_refusal(ssl));
  ERR_clear_error();
  return fail(errc::peer_closed,
              number != 0 ? std::strerror(number) : "the server closed the connection during the handshake");
}

}  // namespace

result<tls_greeting> try_handshake(int fd, const tls_context& context, std::string_view expected,
                                   milliseconds timeout) {
  const auto until = monotonic::now() + timeout;
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
    return fail(errc::internal, std::string{"the socket: "} + std::strerror(errno));
  const ssl_ptr owner{SSL_new(context.get())};
  SSL* ssl = owner.get();
  if (ssl == nullptr || SSL_set_fd(ssl, fd) != 1) return fail(errc::crypto_failed, "no TLS connection");

  const auto connected = run_tls(ssl, fd, until, [](SSL* s) { return SSL_connect(s); });
  if (!connected) return late("no TLS handshake", timeout);
  if (*connected != 1) return broken(ssl, *connected);
  CPNS_CHECK(check_alpn(ssl));
  const bool by_key = is_psk_identity(expected);
  CPNS_CHECK(by_key ? expect_psk(ssl, expected) : expect_uri(ssl, expected));
  tls_greeting out{std::string{expected}, {}};
  if (!by_key) out.ends = time_of(X509_get0_notAfter(SSL_get0_peer_certificate(ssl))).value_or(time_never);

  const auto said_goodbye = run_tls(ssl, fd, until, [](SSL* s) { return SSL_shutdown(s) < 0 ? -1 : 1; });
  if (!said_goodbye) return late("the end of the connection was not sent", timeout);
  // Frames that a server sends without a request are skipped.
  std::array<std::uint8_t, 512> skipped{};
  for (;;) {
    const auto got = run_tls(ssl, fd, until, [&skipped](SSL* s) {
      return SSL_read(s, skipped.data(), static_cast<int>(skipped.size()));
    });
    if (!got || (*got > 0 && monotonic::now() >= until))
      return late("no answer to the end of the connection", timeout);
    if (*got > 0) continue;
    const int kind = SSL_get_error(ssl, *got);
    if (kind == SSL_ERROR_ZERO_RETURN) return out;
    const bool refused =
        kind == SSL_ERROR_SSL && ERR_GET_REASON(ERR_peek_error()) != SSL_R_UNEXPECTED_EOF_WHILE_READING;
    if (refused) return fail(errc::peer_closed, tls_refusal(ssl));
    ERR_clear_error();
    return fail(
        errc::peer_closed,
        by_key ? "the server dropped the connection after the handshake: it is stopping"
               : "the server dropped the connection after the handshake: the SAN URI of this certificate is "
                 "not one of its gateway_uris, or the server is stopping");
  }
}

}  // namespace cpns::crypto
