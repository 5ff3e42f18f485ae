#include "crypto/hmac_key.hpp"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "crypto/openssl_handles.hpp"

namespace cpns::crypto {

using namespace detail;

namespace {

const EVP_MAC* fetched_hmac() {
  static const mac_ptr m{EVP_MAC_fetch(nullptr, "HMAC", nullptr)};
  if (!m) out_of_crypto("HMAC is unavailable");
  return m.get();
}

}  // namespace

struct hmac_key::context {
  mac_ctx_ptr mac{EVP_MAC_CTX_new(const_cast<EVP_MAC*>(fetched_hmac()))};
};

hmac_key::hmac_key(const secret32& key) : context_(std::make_unique<context>()) {
  char name[] = "SHA256";
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                               OSSL_PARAM_construct_end()};
  if (!context_->mac ||
      EVP_MAC_init(context_->mac.get(), key.expose().data(), key.expose().size(), params) != 1)
    out_of_crypto("HMAC is unavailable");
}

hmac_key::~hmac_key() = default;

void hmac_key::tag(byte_view m, std::span<std::uint8_t, 32> out) {
  EVP_MAC_CTX* mac = context_->mac.get();
  std::size_t size = 0;
  // Without a key, OpenSSL begins again with the one that the context has.
  if (EVP_MAC_init(mac, nullptr, 0, nullptr) != 1 ||
      (!m.empty() && EVP_MAC_update(mac, m.data(), m.size()) != 1) ||
      EVP_MAC_final(mac, out.data(), &size, out.size()) != 1 || size != out.size())
    out_of_crypto("HMAC failed");
}

}  // namespace cpns::crypto
