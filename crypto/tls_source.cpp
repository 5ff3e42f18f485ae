#include "crypto/tls_source.hpp"

#include <openssl/ssl.h>

#include <algorithm>

#include "base/log.hpp"
#include "crypto/tls_internal.hpp"

namespace cpns::crypto {
namespace {

std::string until(const ssl_ctx_st* context) {
  return detail::date_text(X509_get0_notAfter(SSL_CTX_get0_certificate(context)));
}

}  // namespace

tls_source::tls_source(std::string component, tls_files files, tls_role role, std::string setting,
                       tls_context first, clock_fn wall, clock_fn timer)
    : component_(std::move(component)), files_(std::move(files)), role_(role), setting_(std::move(setting)),
      wall_(std::move(wall)), timer_(std::move(timer)), next_read_(timer_() + reads_every) {
  use(std::move(first));
}

result<std::shared_ptr<tls_source>> tls_source::open(std::string component, tls_files files, tls_role role,
                                                     std::string setting, clock_fn wall, clock_fn timer) {
  CPNS_TRY(auto first, detail::make_context(files, role));
  auto made = std::shared_ptr<tls_source>{new tls_source{std::move(component), std::move(files), role,
                                                         std::move(setting), std::move(first),
                                                         std::move(wall), std::move(timer)}};
  const std::lock_guard lock{made->guard_};
  (void)made->in_time();  // logs it
  made->remind();
  return made;
}

result<std::shared_ptr<tls_source>> tls_source::for_server(std::string component, tls_files files,
                                                           clock_fn wall, clock_fn timer) {
  return open(std::move(component), std::move(files), tls_role::server, "tls", std::move(wall),
              std::move(timer));
}

result<std::shared_ptr<tls_source>> tls_source::for_client(std::string component, tls_files files,
                                                           clock_fn wall, clock_fn timer) {
  return open(std::move(component), std::move(files), tls_role::client, "tls", std::move(wall),
              std::move(timer));
}

result<std::shared_ptr<tls_source>> tls_source::for_api(std::string component, tls_files files, clock_fn wall,
                                                        clock_fn timer) {
  return open(std::move(component), std::move(files), tls_role::api_server, "api.tls", std::move(wall),
              std::move(timer));
}

result<std::shared_ptr<tls_source>> tls_source::for_service(std::string component, tls_files files,
                                                            std::string setting, clock_fn wall,
                                                            clock_fn timer) {
  return open(std::move(component), std::move(files), tls_role::api_client, std::move(setting),
              std::move(wall), std::move(timer));
}

void tls_source::use(tls_context fresh) {
  const auto lists = detail::crls_of(fresh.get());
  if (context_ && lists != detail::crls_of(context_.get())) {
    ++crl_changes_;
    log::info(component_, "crl-read", "other revocation lists are in use",
              {{"file", files_.crl},
               {"setting", setting_},
               {"revoked", std::to_string(lists ? lists->entries() : 0)}});
  }
  context_ = std::move(fresh);
  ends_ = detail::ends_of(context_.get());
  revocation_ = detail::own_revocation(context_.get(), files_);
  reminders_.resize(ends_.size());
}

void tls_source::read() {
  next_read_ = timer_() + reads_every;
  detail::crl_choice crls{detail::crls_of(context_.get())};
  auto fresh = detail::make_context(files_, role_, &crls);
  if (fresh && role_ == tls_role::client &&
      own_uri(fresh->get()).value_or(std::string{}) != own_uri(context_.get()).value_or(std::string{}))
    fresh = fail(errc::crypto_certificate,
                 "certificate file " + files_.certificate + " names another gateway now; restart to use it");
  if (fresh && psk_)
    if (auto taken = crypto::accept_psk(fresh->get(), psk_); !taken) fresh = fail(std::move(taken).error());
  if (!fresh) {
    const auto why = fresh.error().message();
    if (unusable_.due(timer_(), why))
      log::error(component_, "tls-files-refused",
                 why + "; the previous files stay in use, next attempt in 60 s");
    return;
  }
  unusable_.over();
  note_crls(crls.fault);
  if (X509_cmp(SSL_CTX_get0_certificate(fresh->get()), SSL_CTX_get0_certificate(context_.get())) != 0)
    log::info(component_, "certificate-read", "a new certificate was read",
              {{"file", files_.certificate}, {"setting", setting_}, {"valid_until", until(fresh->get())}});
  use(std::move(*fresh));
}

void tls_source::note_crls(const status& fault) {
  if (fault)
    (void)crl_unusable_.over();
  else if (const auto why = fault.error().message(); crl_unusable_.due(timer_(), why))
    log::error(component_, "crl-refused", why + "; the previous CRLs stay in use, next attempt in 60 s",
               {{"file", files_.crl}});
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

void tls_source::remind() {
  const auto now = wall_();
  for (std::size_t i = 0; i < ends_.size(); ++i) {
    const auto& end = ends_[i];
    const auto left = end.at - now;
    // in_time() reports an own certificate that has expired, and more often.
    if (left > end.soon || (end.part == detail::link_part::own && left <= milliseconds{0})) {
      (void)reminders_[i].over();
      continue;
    }
    const auto level = left < end.very_soon ? log::level::error : log::level::warn;
    const auto& file = files_.*detail::file_of(end.part);
    const auto date = detail::date_text(end.at);
    if (!reminders_[i].due(timer_(), file + date + std::string{log::name_of(level)}, reminds_every)) continue;
    const auto days = std::max<std::int64_t>(0, std::chrono::floor<std::chrono::days>(left).count());
    const auto event = end.part == detail::link_part::crl ? "crl-ends-soon" : "certificate-ends-soon";
    log::write(level, component_, event, detail::end_text(end, files_, now),
               {{"file", file}, {"valid_until", date}, {"days_left", std::to_string(days)}});
  }
  if (!revocation_)
    (void)own_revoked_.over();
  else if (own_revoked_.due(timer_(), *revocation_, reminds_every))
    log::error(component_, "certificate-revoked", *revocation_, {{"file", files_.certificate}});
}

status tls_source::accept_psk(psk_lookup lookup) {
  const std::lock_guard lock{guard_};
  psk_ = std::make_shared<const psk_lookup>(std::move(lookup));
  return crypto::accept_psk(context_.get(), psk_);
}

result<tls_context> tls_source::context() {
  const std::lock_guard lock{guard_};
  if (timer_() >= next_read_) read();
  remind();
  CPNS_CHECK(in_time());
  SSL_CTX_up_ref(context_.get());
  return tls_context{context_.get()};
}

void tls_source::read_again() {
  const std::lock_guard lock{guard_};
  read();
  for (auto& r : reminders_) (void)r.over();
  (void)own_revoked_.over();
  (void)in_time();
  remind();
}

void tls_source::look() {
  const std::lock_guard lock{guard_};
  if (timer_() >= next_read_) read();
  (void)in_time();
  remind();
}

std::optional<std::string> tls_source::revoked(const ssl_st* ssl) const {
  detail::crl_set_ptr lists;
  {
    const std::lock_guard lock{guard_};
    lists = detail::crls_of(context_.get());
  }
  if (!lists) return std::nullopt;
  auto who = detail::revoked_in(SSL_get0_verified_chain(ssl), *lists);
  if (who) *who = "the peer's certificate was revoked (" + *who + ")";
  return who;
}

std::map<std::string, time_point> tls_source::ends() const {
  const auto name = [](detail::link_part part) {
    switch (part) {
    case detail::link_part::own: return "own";
    case detail::link_part::intermediate: return "intermediate";
    case detail::link_part::ca: return "ca";
    case detail::link_part::crl: break;
    }
    return "crl";
  };
  const std::lock_guard lock{guard_};
  std::map<std::string, time_point> out;
  for (const auto& end : ends_) {
    const auto [at, fresh] = out.try_emplace(name(end.part), end.at);
    if (!fresh) at->second = std::min(at->second, end.at);
  }
  return out;
}

std::uint64_t tls_source::crl_changes() const {
  const std::lock_guard lock{guard_};
  return crl_changes_;
}

result<std::string> tls_source::uri() const {
  const std::lock_guard lock{guard_};
  return own_uri(context_.get());
}

}  // namespace cpns::crypto
