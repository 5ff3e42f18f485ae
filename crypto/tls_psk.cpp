#include "crypto/tls_psk.hpp"

#include <openssl/err.h>

#include <array>

#include "base/log.hpp"
#include "crypto/suite.hpp"
#include "crypto/tls_internal.hpp"

namespace cpns::crypto {
namespace {

using namespace detail;

using session_ptr = handle<SSL_SESSION, SSL_SESSION_free>;

/// TLS_AES_128_GCM_SHA256: the hash of the key is SHA-256 (RFC 8446 section 4.2.11), for each suite with that hash.
constexpr std::array<unsigned char, 2> suite_of_key{0x13, 0x01};
constexpr const char* client_suites = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256";
constexpr std::string_view session_context = "cpns";
constexpr std::size_t number_size = 8;
constexpr std::uint64_t number_at_client = 1;

struct client_key {
  std::string identity;
  psk_key key;
};

template <class T>
void free_data(void*, void* data, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<T*>(data);
}
int lookup_index() {
  static const int index =
      SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_data<std::shared_ptr<const psk_lookup>>);
  return index;
}
int client_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_data<client_key>);
  return index;
}
const client_key* client_key_of(const SSL_CTX* context) {
  return static_cast<const client_key*>(SSL_CTX_get_ex_data(context, client_index()));
}

/// Gives `context` an object that it frees with itself.
template <class T>
bool give(SSL_CTX* context, int index, std::unique_ptr<T> what) {
  if (SSL_CTX_set_ex_data(context, index, what.get()) != 1) return false;
  (void)what.release();
  return true;
}

/// The number, then the identity: tells whose key a session has, and that this program made it.
bytes label_of(std::string_view identity, std::uint64_t number) {
  bytes out;
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(number >> shift));
  const auto name = as_bytes(identity);
  out.insert(out.end(), name.begin(), name.end());
  return out;
}

/// A session of TLS that was never negotiated: the form in which OpenSSL takes an external key. Null if memory runs out.
session_ptr session_of(SSL* ssl, const psk_key& key, std::string_view identity, std::uint64_t number) {
  session_ptr out{SSL_SESSION_new()};
  const SSL_CIPHER* suite = SSL_CIPHER_find(ssl, suite_of_key.data());
  const auto raw = key.expose();
  const auto label = label_of(identity, number);
  if (!out || suite == nullptr || SSL_SESSION_set1_master_key(out.get(), raw.data(), raw.size()) != 1 ||
      SSL_SESSION_set_cipher(out.get(), suite) != 1 ||
      SSL_SESSION_set_protocol_version(out.get(), TLS1_3_VERSION) != 1 ||
      SSL_SESSION_set1_ticket_appdata(out.get(), label.data(), label.size()) != 1)
    return nullptr;
  return out;
}

/// Called for each key that a client offers, in the thread of its handshake.
int find_session(SSL* ssl, const unsigned char* identity, std::size_t size, SSL_SESSION** out) noexcept try {
  *out = nullptr;
  const auto name = as_text({identity, size});
  // A ticket of another server, for example: the handshake goes on with certificates.
  if (!is_psk_identity(name)) return 1;
  const auto* lookup = static_cast<const std::shared_ptr<const psk_lookup>*>(
      SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), lookup_index()));
  // An identity without a key gets a random one, which nobody has: the same work and the same alert as for a wrong key,
  // so that strangers cannot find out which gateways there are.
  const auto nobodys = psk_key::draw(system_entropy());
  const auto known = lookup != nullptr ? (**lookup)(name) : std::nullopt;
  note(ssl, " (" + std::string{name} + (known ? ": its key is another one)" : ": no key is known of it)"));
  *out = session_of(ssl, known ? known->key : nobodys, name, known ? known->number : 0).release();
  return *out != nullptr ? 1 : 0;
} catch (...) {
  return 0;
}

/// `hash`: of the cipher suite that the server asks for in a HelloRetryRequest, or null.
int use_session(SSL* ssl, const EVP_MD* hash, const unsigned char** identity, std::size_t* size,
                SSL_SESSION** out) noexcept try {
  *identity = nullptr;
  *size = 0;
  *out = nullptr;
  const auto* own = client_key_of(SSL_get_SSL_CTX(ssl));
  if (own == nullptr) return 0;
  if (hash != nullptr && EVP_MD_is_a(hash, "SHA256") != 1) return 1;
  auto session = session_of(ssl, own->key, own->identity, number_at_client);
  if (!session) return 0;
  *identity = reinterpret_cast<const unsigned char*>(own->identity.data());
  *size = own->identity.size();
  *out = session.release();
  return 1;
} catch (...) {
  return 0;
}

/// Whatever the certificate is: nobody said which one this server may have.
int refuse_certificate(X509_STORE_CTX* store, void*) {
  X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

}  // namespace

bool detail::is_psk_client(const SSL* ssl) {
  return ssl != nullptr && client_key_of(SSL_get_SSL_CTX(ssl)) != nullptr;
}

status accept_psk(ssl_ctx_st* server_context, std::shared_ptr<const psk_lookup> lookup) {
  const auto name = as_bytes(session_context);
  // Without a session context, a context that verifies certificates ends a resumption with an alert (internal error).
  if (SSL_CTX_set_session_id_context(server_context, name.data(), static_cast<unsigned>(name.size())) != 1 ||
      !give(server_context, lookup_index(),
            std::make_unique<std::shared_ptr<const psk_lookup>>(std::move(lookup)))) {
    ERR_clear_error();
    return fail(errc::crypto_failed, "the TLS context does not take pre-shared keys");
  }
  SSL_CTX_set_psk_find_session_callback(server_context, find_session);
  return {};
}

result<tls_context> make_psk_client_tls(std::string_view identity, const psk_key& key) {
  CPNS_TRY(auto made, new_context(tls_role::client));
  SSL_CTX* ctx = made.get();
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(ctx, refuse_certificate, nullptr);
  if (SSL_CTX_set_ciphersuites(ctx, client_suites) != 1 ||
      !give(ctx, client_index(), std::make_unique<client_key>(client_key{std::string{identity}, key}))) {
    ERR_clear_error();
    return fail(errc::crypto_failed, "the TLS context does not take a pre-shared key");
  }
  SSL_CTX_set_psk_use_session_callback(ctx, use_session);
  return made;
}

std::optional<psk_proof> psk_of(const ssl_st* ssl) {
  if (SSL_is_init_finished(ssl) != 1 || SSL_get0_peer_certificate(ssl) != nullptr ||
      SSL_session_reused(ssl) != 1)
    return std::nullopt;
  void* data = nullptr;
  std::size_t size = 0;
  SSL_SESSION* session = SSL_get_session(ssl);
  if (session == nullptr || SSL_SESSION_get0_ticket_appdata(session, &data, &size) != 1) return std::nullopt;
  const byte_view label{static_cast<const std::uint8_t*>(data), data != nullptr ? size : 0};
  if (label.size() <= number_size) return std::nullopt;
  psk_proof out{std::string{as_text(label.subspan(number_size))}};
  for (std::size_t i = 0; i < number_size; ++i) out.number = out.number << 8 | label[i];
  if (out.number == 0 || !is_psk_identity(out.identity)) return std::nullopt;
  return out;
}

status expect_psk(const ssl_st* ssl, std::string_view identity) {
  const auto proven = psk_of(ssl);
  if (!proven || proven->identity != identity)
    return fail(errc::peer_identity, "the server did not prove the pre-shared key of this gateway");
  return {};
}

psk_source::psk_source(std::string component, std::string identity, std::filesystem::path file, psk_key key,
                       clock_fn timer)
    : component_(std::move(component)), identity_(std::move(identity)), file_(std::move(file)),
      timer_(std::move(timer)), key_(std::move(key)) {}

result<std::shared_ptr<psk_source>> psk_source::open(std::string component, std::string identity,
                                                     std::filesystem::path file, clock_fn timer) {
  if (!is_psk_identity(identity))
    return fail(errc::config_range, "the identity " + printable(identity) + " is not " +
                                        std::string{psk_identity_prefix} +
                                        " and 1 to 64 of the characters A-Z a-z 0-9 . _ -");
  CPNS_TRY(auto key, psk_key::read(file));
  return std::shared_ptr<psk_source>{new psk_source{std::move(component), std::move(identity),
                                                    std::move(file), std::move(key), std::move(timer)}};
}

result<tls_context> psk_source::context() {
  const std::lock_guard lock{guard_};
  auto fresh = psk_key::read(file_);
  if (fresh) {
    (void)unusable_.over();
    if (!(*fresh == key_)) {
      key_ = std::move(*fresh);
      log::info(component_, "psk-read", "a new pre-shared key was read", {{"file", file_.string()}});
    }
  } else if (const auto why = fresh.error().message(); unusable_.due(timer_(), why)) {
    log::error(component_, "psk-file-refused", why + "; the previous key stays in use");
  }
  return make_psk_client_tls(identity_, key_);
}

}  // namespace cpns::crypto
