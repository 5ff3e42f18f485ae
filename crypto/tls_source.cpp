#include "crypto/tls_source.hpp"

#include <openssl/ssl.h>

#include "base/log.hpp"
#include "crypto/tls_internal.hpp"

namespace cpns::crypto {
namespace {

std::string until(const ssl_ctx_st* context) {
  return detail::date_text(X509_get0_notAfter(SSL_CTX_get0_certificate(context)));
}

}  // namespace

tls_source::tls_source(std::string component, tls_files files, tls_role role, tls_context first,
                       clock_fn wall, clock_fn timer)
    : component_(std::move(component)), files_(std::move(files)), role_(role), wall_(std::move(wall)),
      timer_(std::move(timer)), context_(std::move(first)), next_read_(timer_() + reads_every) {}

result<std::shared_ptr<tls_source>> tls_source::open(std::string component, tls_files files, tls_role role,
                                                     clock_fn wall, clock_fn timer) {
  CPNS_TRY(auto first, detail::make_context(files, role));
  auto made = std::shared_ptr<tls_source>{new tls_source{
      std::move(component), std::move(files), role, std::move(first), std::move(wall), std::move(timer)}};
  const std::lock_guard lock{made->guard_};
  (void)made->in_time();  // logs it
  return made;
}

result<std::shared_ptr<tls_source>> tls_source::for_server(std::string component, tls_files files,
                                                           clock_fn wall, clock_fn timer) {
  return open(std::move(component), std::move(files), tls_role::server, std::move(wall), std::move(timer));
}

result<std::shared_ptr<tls_source>> tls_source::for_client(std::string component, tls_files files,
                                                           clock_fn wall, clock_fn timer) {
  return open(std::move(component), std::move(files), tls_role::client, std::move(wall), std::move(timer));
}

void tls_source::read() {
  next_read_ = timer_() + reads_every;
  auto fresh = detail::make_context(files_, role_);
  if (fresh && role_ == tls_role::client &&
      own_uri(fresh->get()).value_or(std::string{}) != own_uri(context_.get()).value_or(std::string{}))
    fresh = fail(errc::crypto_certificate,
                 "certificate file " + files_.certificate + " names another gateway now; restart to use it");
  if (!fresh) {
    const auto why = fresh.error().message();
    if (unusable_.due(timer_(), why))
      log::error(component_, "tls-files-refused",
                 why + "; the previous files stay in use, next attempt in 60 s");
    return;
  }
  unusable_.over();
  if (X509_cmp(SSL_CTX_get0_certificate(fresh->get()), SSL_CTX_get0_certificate(context_.get())) != 0)
    log::info(component_, "certificate-read", "a new certificate was read",
              {{"file", files_.certificate}, {"valid_until", until(fresh->get())}});
  context_ = std::move(*fresh);
}

status tls_source::in_time() {
  auto good = detail::check_time(SSL_CTX_get0_certificate(context_.get()), files_.certificate, wall_());
  if (good) {
    if (out_of_time_.over())
      log::info(component_, "certificate-in-time", "the certificate is valid now",
                {{"file", files_.certificate}, {"valid_until", until(context_.get())}});
    return {};
  }
  if (out_of_time_.due(timer_(), good.error().detail))
    log::error(component_, "certificate-out-of-time", good.error().detail,
               {{"what", "no connections until this is fixed; the clock is checked for each connection, the "
                         "files once per minute"}});
  return good;
}

result<tls_context> tls_source::context() {
  const std::lock_guard lock{guard_};
  if (timer_() >= next_read_) read();
  CPNS_CHECK(in_time());
  SSL_CTX_up_ref(context_.get());
  return tls_context{context_.get()};
}

void tls_source::read_again() {
  const std::lock_guard lock{guard_};
  read();
  (void)in_time();
}

void tls_source::look() {
  const std::lock_guard lock{guard_};
  if (timer_() >= next_read_) read();
  (void)in_time();
}

result<std::string> tls_source::uri() const {
  const std::lock_guard lock{guard_};
  return own_uri(context_.get());
}

}  // namespace cpns::crypto
