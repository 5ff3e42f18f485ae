#include "actors/pn_gw/authentication.hpp"

#include "crypto/key_schedule.hpp"

namespace cpns::actors {
namespace {

constexpr const char* component = "gateway";

}  // namespace

result<std::shared_ptr<authentication>> authentication::open(const config::gateway_config& c) {
  const std::shared_ptr<authentication> made{new authentication};
  auto kind = crypto::gateway_kind::psk;
  std::string name;
  if (c.psk) {
    CPNS_TRY(made->psk_, crypto::psk_source::open(component, c.psk->identity, c.psk->key_file));
    name = c.psk->identity;
  } else if (c.tls) {
    made->server_uri_ = c.server_uri;
    CPNS_TRY(made->tls_,
             crypto::tls_source::for_client(component, {c.tls->ca.string(), c.tls->certificate.string(),
                                                        c.tls->key.string(), c.tls->crl.string()}));
    CPNS_TRY(name, made->tls_->uri());
    kind = crypto::gateway_kind::x509;
  } else {
    return fail(errc::config_missing, "the gateway has neither a certificate nor a pre-shared key");
  }
  made->gateway_ = crypto::derive_gateway_id(crypto::openssl_suite(), kind, name);
  return made;
}

void authentication::set(uplink_settings& to) const {
  if (psk_) {
    to.psk_identity = psk_->identity();
    return;
  }
  to.server_uri = server_uri_;
  // A connection may last for weeks, and without one the files would be read only when it ends.
  to.look = [tls = tls_] { tls->look(); };
  to.look_every = crypto::tls_source::reads_every;
  to.revoked = [tls = tls_](const ssl_st* ssl) { return tls->revoked(ssl); };
}

void authentication::read_again() {
  if (tls_) tls_->read_again();
}

std::map<std::string, time_point> authentication::certificate_ends() const {
  if (!tls_) return {};
  return tls_->ends();
}

}  // namespace cpns::actors
