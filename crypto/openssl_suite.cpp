#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include <algorithm>
#include <climits>

#include "crypto/gcm.hpp"
#include "crypto/openssl_handles.hpp"
#include "crypto/suite.hpp"

namespace cpns::crypto {
namespace {

using namespace detail;

constexpr std::size_t hash_size = 32;
/// RFC 5869 section 2.3: at most 255 blocks.
constexpr std::size_t expand_max = 255 * hash_size;

/// A fetch costs more than the operation that follows it, so each algorithm is fetched once per process.
struct algorithms {
  md_ptr sha256{EVP_MD_fetch(nullptr, "SHA256", nullptr)};
  mac_ptr hmac{EVP_MAC_fetch(nullptr, "HMAC", nullptr)};

  algorithms() {
    if (!sha256 || !hmac) out_of_crypto("SHA256 or HMAC is unavailable");
  }
};

const algorithms& fetched() {
  static const algorithms a;
  return a;
}

/// One set per thread, because creating a context costs more than most operations. None keeps a key between
/// operations: see forgetful.
struct contexts {
  md_ctx_ptr hash{EVP_MD_CTX_new()};
  mac_ctx_ptr mac{EVP_MAC_CTX_new(fetched().hmac.get())};
  gcm aead;

  contexts() {
    char name[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                                 OSSL_PARAM_construct_end()};
    if (!hash || !mac || EVP_MAC_CTX_set_params(mac.get(), params) != 1)
      out_of_crypto("cannot create a context");
  }
};

contexts& mine() {
  thread_local contexts c;
  return c;
}

/// Replaces a key after use.
constexpr byte_array<32> no_key{};

void mac_start(EVP_MAC_CTX* mac, byte_view key) {
  // OpenSSL keeps the former key if the pointer is null, so an empty key needs a pointer.
  static constexpr std::uint8_t empty_key = 0;
  const std::uint8_t* data = key.empty() ? &empty_key : key.data();
  if (EVP_MAC_init(mac, data, key.size(), nullptr) != 1) out_of_crypto("HMAC rejects the key");
}

void mac_restart(EVP_MAC_CTX* mac) {
  if (EVP_MAC_init(mac, nullptr, 0, nullptr) != 1) out_of_crypto("HMAC cannot restart");
}

void mac_update(EVP_MAC_CTX* mac, byte_view m) {
  if (!m.empty() && EVP_MAC_update(mac, m.data(), m.size()) != 1) out_of_crypto("HMAC failed");
}

void mac_finish(EVP_MAC_CTX* mac, std::span<std::uint8_t, hash_size> out) {
  std::size_t size = 0;
  if (EVP_MAC_final(mac, out.data(), &size, out.size()) != 1 || size != hash_size)
    out_of_crypto("HMAC failed");
}

int int_size(byte_view b) {
  if (b.size() > static_cast<std::size_t>(INT_MAX)) out_of_crypto("more than 2 GiB in one message");
  return static_cast<int>(b.size());
}

class suite_on_openssl final : public suite {
 public:
  [[nodiscard]] digest sha256(byte_view m) const override {
    digest out;
    EVP_MD_CTX* hash = mine().hash.get();
    // The context ends with the digest, which may be a StoredKey.
    const forgetful end{[hash] { EVP_DigestInit_ex2(hash, nullptr, nullptr); }};
    if (EVP_DigestInit_ex2(hash, fetched().sha256.get(), nullptr) != 1 ||
        EVP_DigestUpdate(hash, m.data(), m.size()) != 1 || EVP_DigestFinal_ex(hash, out.data(), nullptr) != 1)
      out_of_crypto("SHA-256 failed");
    return out;
  }

  [[nodiscard]] secret32 hmac(byte_view key, byte_view m) const override {
    secret32 out;
    EVP_MAC_CTX* mac = mine().mac.get();
    const forgetful end{[mac] { mac_start(mac, no_key); }};
    mac_start(mac, key);
    mac_update(mac, m);
    mac_finish(mac, out.expose_mutable());
    return out;
  }

  void expand(const secret32& prk, byte_view info, std::span<std::uint8_t> out) const override {
    if (out.empty() || out.size() > expand_max) out_of_crypto("HKDF-Expand returns 1 to 8160 bytes");
    EVP_MAC_CTX* mac = mine().mac.get();
    const forgetful end{[mac] { mac_start(mac, no_key); }};
    mac_start(mac, prk.expose());
    secret32 block;
    std::uint8_t counter = 0;
    for (std::size_t done = 0; done < out.size(); done += hash_size) {
      // T(0) = empty;  T(i) = HMAC(PRK, T(i-1) | info | i)
      if (counter != 0) {
        mac_restart(mac);
        mac_update(mac, block.expose());
      }
      mac_update(mac, info);
      mac_update(mac, {&++counter, 1});
      mac_finish(mac, block.expose_mutable());
      // OKM = first L octets of T(1) | T(2) | ...
      const std::size_t n = std::min(hash_size, out.size() - done);
      std::copy_n(block.expose().begin(), n, out.begin() + static_cast<std::ptrdiff_t>(done));
    }
  }

  [[nodiscard]] secret32 pbkdf2(byte_view password, byte_view salt, std::uint32_t iterations) const override {
    secret32 out;
    const auto rounds = static_cast<int>(std::clamp<std::uint32_t>(iterations, 1, INT_MAX));
    if (PKCS5_PBKDF2_HMAC(reinterpret_cast<const char*>(password.data()), int_size(password), salt.data(),
                          int_size(salt), rounds, fetched().sha256.get(), hash_size,
                          out.expose_mutable().data()) != 1)
      out_of_crypto("PBKDF2 failed");
    return out;
  }

  [[nodiscard]] bytes gcm_seal(const secret32& key, const byte_array<12>& nonce, byte_view aad,
                               byte_view plain) const override {
    const gcm& aead = mine().aead;
    const forgetful end{[&aead] { aead.forget(); }};
    bytes out(plain.size() + gcm_tag_size);
    aead.seal(key, nonce, aad, plain, out);
    return out;
  }

  [[nodiscard]] result<secret_bytes> gcm_open(const secret32& key, const byte_array<12>& nonce, byte_view aad,
                                              byte_view sealed) const override {
    if (sealed.size() < gcm_tag_size) return fail(errc::crypto_open_failed, "shorter than its tag");
    const gcm& aead = mine().aead;
    const forgetful end{[&aead] { aead.forget(); }};
    bytes plain(sealed.size() - gcm_tag_size);
    if (!aead.open(key, nonce, aad, sealed, plain)) return fail(errc::crypto_open_failed);
    return secret_bytes{std::move(plain)};
  }

  [[nodiscard]] byte_array<32> x25519_public(const secret32& private_key) const override {
    byte_array<32> out{};
    std::size_t size = out.size();
    const pkey_ptr key{
        EVP_PKEY_new_raw_private_key_ex(nullptr, "X25519", nullptr, private_key.expose().data(), 32)};
    if (!key || EVP_PKEY_get_raw_public_key(key.get(), out.data(), &size) != 1)
      out_of_crypto("X25519 failed");
    return out;
  }

  [[nodiscard]] result<secret32> x25519(const secret32& private_key,
                                        const byte_array<32>& peer) const override {
    const pkey_ptr own = private_half(private_key);
    const pkey_ptr other{
        EVP_PKEY_new_raw_public_key_ex(nullptr, "X25519", nullptr, peer.data(), peer.size())};
    if (!own || !other) out_of_crypto("X25519 failed");
    const pkey_ctx_ptr ctx{EVP_PKEY_CTX_new_from_pkey(nullptr, own.get(), nullptr)};
    if (!ctx || EVP_PKEY_derive_init(ctx.get()) != 1) out_of_crypto("X25519 failed");
    secret32 out;
    std::size_t size = 32;
    // OpenSSL refuses an all-zero output; the comparison does so if a provider does not.
    if (EVP_PKEY_derive_set_peer(ctx.get(), other.get()) != 1 ||
        EVP_PKEY_derive(ctx.get(), out.expose_mutable().data(), &size) != 1 || size != 32 ||
        out == secret32{}) {
      ERR_clear_error();
      return fail(errc::crypto_weak, "the X25519 output is all zero");
    }
    return out;
  }

 private:
  /// The public half stays zero: deriving does not read it, and computing it would double the cost.
  static pkey_ptr private_half(const secret32& private_key) {
    auto scalar = private_key;
    byte_array<32> unused{};
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, scalar.expose_mutable().data(), 32),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, unused.data(), unused.size()),
        OSSL_PARAM_construct_end(),
    };
    const pkey_ctx_ptr ctx{EVP_PKEY_CTX_new_from_name(nullptr, "X25519", nullptr)};
    EVP_PKEY* key = nullptr;
    if (!ctx || EVP_PKEY_fromdata_init(ctx.get()) != 1 ||
        EVP_PKEY_fromdata(ctx.get(), &key, EVP_PKEY_KEYPAIR, params) != 1)
      return {};
    return pkey_ptr{key};
  }
};

}  // namespace

const suite& openssl_suite() {
  static const suite_on_openssl s;
  return s;
}

}  // namespace cpns::crypto
