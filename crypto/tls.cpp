#include "crypto/tls.hpp"

#include <openssl/err.h>

#include "crypto/tls_internal.hpp"

namespace cpns::crypto {
namespace {

using namespace detail;

/// As link_alpn_list.
constexpr std::string_view api_alpn_list{"\x08"
                                         "http/1.1"};
const std::string_view& alpn_list_of(tls_role role) {
  return role == tls_role::server || role == tls_role::client ? link_alpn_list : api_alpn_list;
}
int alpn_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}
/// Intermediates between a root and the peer's own certificate.
constexpr int intermediates_max = 2;

int choose_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                unsigned in_size, void* wanted) {
  const auto list = as_bytes(*static_cast<const std::string_view*>(wanted));
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, list.data(), static_cast<unsigned>(list.size()), in,
                            in_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

/// OpenSSL accepts a certificate without extended key usage for any purpose; this policy does not. Looks up the
/// certificate in the CRLs.
int verify(int good, X509_STORE_CTX* store, std::uint32_t usage) noexcept {
  X509* certificate = X509_STORE_CTX_get_current_cert(store);
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  if (good == 1 && X509_STORE_CTX_get_error_depth(store) == 0 && certificate != nullptr) {
    const auto found = X509_get_extended_key_usage(certificate);
    if (found == UINT32_MAX || (found & usage) == 0) {
      X509_STORE_CTX_set_error(store, X509_V_ERR_INVALID_PURPOSE);
      good = 0;
    }
  }
  if (good == 1 && certificate != nullptr)
    if (const int revocation = check_revocation(ssl, store); revocation != X509_V_OK) {
      X509_STORE_CTX_set_error(store, revocation);
      good = 0;
    }
  if (good != 1) note_refused(ssl, certificate, X509_STORE_CTX_get_error(store));
  return good;
}

int verify_client(int good, X509_STORE_CTX* store) { return verify(good, store, XKU_SSL_CLIENT); }
int verify_server(int good, X509_STORE_CTX* store) { return verify(good, store, XKU_SSL_SERVER); }

tl::unexpected<error> no_context(std::string_view what) {
  ERR_clear_error();
  return fail(errc::crypto_failed, "the TLS context: " + std::string{what});
}

status use(SSL_CTX* ctx, const tls_material& m) {
  X509_STORE* store = SSL_CTX_get_cert_store(ctx);
  for (const auto& root : m.roots)
    if (X509_STORE_add_cert(store, root.get()) != 1) return no_context("a CA cannot be added");
  if (SSL_CTX_use_certificate(ctx, m.chain.front().get()) != 1)
    return fail(errc::crypto_certificate,
                "the key or signature of the own certificate is too weak for TLS 1.3");
  for (std::size_t i = 1; i < m.chain.size(); ++i)
    if (SSL_CTX_add1_chain_cert(ctx, m.chain[i].get()) != 1)
      return no_context("an intermediate certificate cannot be added");
  if (SSL_CTX_use_PrivateKey(ctx, m.key.get()) != 1) return no_context("the private key is rejected");
  if (!attach(ctx, m.crls)) return no_context("the CRLs cannot be added");
  return {};
}

}  // namespace

result<tls_context> detail::new_context(tls_role role) {
  const bool server = is_server(role);
  tls_context owner{SSL_CTX_new(server ? TLS_server_method() : TLS_client_method())};
  SSL_CTX* ctx = owner.get();
  if (ctx == nullptr) return no_context("it cannot be created");
  SSL_CTX_set_security_level(ctx, 2);
  if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1)
    return no_context("TLS 1.3 is unavailable");

  // A resumed session would skip the certificates, so sessions are neither issued nor cached. Answers hold
  // keys, so CLEANSE_PLAINTEXT wipes received data before its buffer is freed.
  SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CLEANSE_PLAINTEXT);
  SSL_CTX_set_num_tickets(ctx, 0);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_early_data(ctx, 0);
  SSL_CTX_set_recv_max_early_data(ctx, 0);
  // Most connections are idle.
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);

  // OpenSSL takes a pointer to anything; the list is never changed.
  void* alpn = const_cast<std::string_view*>(&alpn_list_of(role));
  if (SSL_CTX_set_ex_data(ctx, alpn_index(), alpn) != 1) return no_context("ALPN cannot be set");
  if (server)
    SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, alpn);
  else if (const auto list = as_bytes(alpn_list_of(role));
           SSL_CTX_set_alpn_protos(ctx, list.data(), static_cast<unsigned>(list.size())) != 0)
    return no_context("ALPN cannot be set");
  return owner;
}

result<tls_context> detail::make_context(const tls_files& files, tls_role role, crl_choice* again) {
  CPNS_TRY(const auto material, load_material(files, role, again));
  CPNS_TRY(auto owner, new_context(role));
  SSL_CTX* ctx = owner.get();
  const bool server = is_server(role);
  X509_VERIFY_PARAM* param = SSL_CTX_get0_param(ctx);
  if (X509_VERIFY_PARAM_set_purpose(param, server ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER) != 1)
    return no_context("the purpose cannot be set");
  SSL_CTX_set_verify_depth(ctx, intermediates_max);
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                     server ? verify_client : verify_server);
  CPNS_CHECK(use(ctx, material));
  if (!server) return owner;
  // Tells a client with several certificates which one to send.
  for (const auto& root : material.roots)
    if (SSL_CTX_add_client_CA(ctx, root.get()) != 1) return no_context("a CA's name cannot be added");
  return owner;
}

std::string detail::wanted_alpn(const SSL* ssl) {
  const auto* list =
      ssl == nullptr
          ? nullptr
          : static_cast<const std::string_view*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), alpn_index()));
  std::string out;
  for (auto rest = list == nullptr ? link_alpn_list : *list; !rest.empty();) {
    const auto size = static_cast<std::size_t>(static_cast<unsigned char>(rest.front()));
    out += (out.empty() ? "" : " or ") + std::string{rest.substr(1, size)};
    rest.remove_prefix(1 + size);
  }
  return out;
}

namespace {

result<tls_context> make_in_time(const tls_files& files, tls_role role) {
  CPNS_TRY(auto made, make_context(files, role));
  CPNS_CHECK(check_time(SSL_CTX_get0_certificate(made.get()), files.certificate, now_wall()));
  return made;
}

}  // namespace

void tls_context_free::operator()(ssl_ctx_st* context) const noexcept { SSL_CTX_free(context); }

result<tls_context> make_server_tls(const tls_files& files) { return make_in_time(files, tls_role::server); }
result<tls_context> make_client_tls(const tls_files& files) { return make_in_time(files, tls_role::client); }
result<tls_context> make_api_client_tls(const tls_files& files) {
  return make_in_time(files, tls_role::api_client);
}

tls_supply always(tls_context context) {
  return [shared = std::shared_ptr<ssl_ctx_st>{std::move(context)}]() -> result<tls_context> {
    SSL_CTX_up_ref(shared.get());
    return tls_context{shared.get()};
  };
}

}  // namespace cpns::crypto
