#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include <algorithm>
#include <array>
#include <climits>

#include "crypto/gcm.hpp"
#include "crypto/openssl_handles.hpp"
#include "crypto/suite.hpp"

namespace cpns::crypto {
namespace {

using namespace detail;

constexpr std::size_t hash_size = 32, hash_block = 64;
/// RFC 5869 section 2.3: at most 255 blocks.
constexpr std::size_t expand_max = 255 * hash_size;

/// A fetch costs more than the operation that follows it, so it is done once per process.
const EVP_MD* fetched_sha256() {
  static const md_ptr m{EVP_MD_fetch(nullptr, "SHA256", nullptr)};
  if (!m) out_of_crypto("SHA256 is unavailable");
  return m.get();
}

/// One set per thread, because creating a context costs more than most operations. None keeps a key between
/// operations: see forgetful.
struct contexts {
  md_ctx_ptr hash{EVP_MD_CTX_new()};
  gcm aead;

  contexts() {
    if (!hash) out_of_crypto("cannot create a context");
  }
};

contexts& mine() {
  thread_local contexts c;
  return c;
}

/// Makes keys, and keeps none. Apart from `contexts`, because a server needs no X25519.
EVP_PKEY_CTX* x25519_maker() {
  thread_local const pkey_ctx_ptr maker = [] {
    pkey_ctx_ptr fresh{EVP_PKEY_CTX_new_from_name(nullptr, "X25519", nullptr)};
    if (!fresh || EVP_PKEY_fromdata_init(fresh.get()) != 1) out_of_crypto("X25519 is unavailable");
    return fresh;
  }();
  return maker.get();
}

void hash_start(EVP_MD_CTX* hash) {
  if (EVP_DigestInit_ex2(hash, fetched_sha256(), nullptr) != 1) out_of_crypto("SHA-256 failed");
}

void hash_update(EVP_MD_CTX* hash, byte_view m) {
  if (!m.empty() && EVP_DigestUpdate(hash, m.data(), m.size()) != 1) out_of_crypto("SHA-256 failed");
}

void hash_finish(EVP_MD_CTX* hash, std::span<std::uint8_t, hash_size> out) {
  if (EVP_DigestFinal_ex(hash, out.data(), nullptr) != 1) out_of_crypto("SHA-256 failed");
}

/// The context ends with a digest, which may be a key.
auto forget_hash(EVP_MD_CTX* hash) {
  return forgetful{[hash] { EVP_DigestInit_ex2(hash, nullptr, nullptr); }};
}

/// HMAC-SHA-256 (RFC 2104) on the hash alone: for the short messages of the protocol EVP_MAC spends more time on its parameters and
/// copies of contexts than on the hashes. Leaves the last digest in the context.
class keyed_hash {
 public:
  keyed_hash(EVP_MD_CTX* hash, byte_view key) : hash_(hash) {
    const auto pad = pad_.expose_mutable();
    if (key.size() <= hash_block) {
      std::copy(key.begin(), key.end(), pad.begin());
    } else {
      hash_start(hash);
      hash_update(hash, key);
      hash_finish(hash, pad.first<hash_size>());
    }
    turn(inner);
  }
  void start() {
    hash_start(hash_);
    hash_update(hash_, pad_.expose());
  }
  void update(byte_view m) { hash_update(hash_, m); }
  void finish(std::span<std::uint8_t, hash_size> out) {
    hash_finish(hash_, out);
    turn(inner ^ outer);
    start();
    hash_update(hash_, out);
    hash_finish(hash_, out);
    turn(inner ^ outer);
  }

 private:
  static constexpr std::uint8_t inner = 0x36, outer = 0x5c;
  void turn(std::uint8_t by) {
    for (auto& b : pad_.expose_mutable()) b = static_cast<std::uint8_t>(b ^ by);
  }
  EVP_MD_CTX* hash_;
  secret<hash_block> pad_;  ///< the key, xor `inner`
};

int int_size(byte_view b) {
  if (b.size() > static_cast<std::size_t>(INT_MAX)) out_of_crypto("more than 2 GiB in one message");
  return static_cast<int>(b.size());
}

class suite_on_openssl final : public suite {
 public:
  [[nodiscard]] digest sha256(byte_view m) const override {
    digest out;
    EVP_MD_CTX* hash = mine().hash.get();
    const auto end = forget_hash(hash);
    hash_start(hash);
    hash_update(hash, m);
    hash_finish(hash, out);
    return out;
  }

  [[nodiscard]] secret32 hmac(byte_view key, byte_view m) const override {
    secret32 out;
    EVP_MD_CTX* hash = mine().hash.get();
    const auto end = forget_hash(hash);
    keyed_hash mac{hash, key};
    mac.start();
    mac.update(m);
    mac.finish(out.expose_mutable());
    return out;
  }

  void expand(const secret32& prk, byte_view info, std::span<std::uint8_t> out) const override {
    if (out.empty() || out.size() > expand_max) out_of_crypto("HKDF-Expand returns 1 to 8160 bytes");
    EVP_MD_CTX* hash = mine().hash.get();
    const auto end = forget_hash(hash);
    keyed_hash mac{hash, prk.expose()};
    secret32 block;
    std::uint8_t counter = 0;
    for (std::size_t done = 0; done < out.size(); done += hash_size) {
      // T(0) = empty;  T(i) = HMAC(PRK, T(i-1) | info | i)
      mac.start();
      if (counter != 0) mac.update(block.expose());
      mac.update(info);
      mac.update({&++counter, 1});
      mac.finish(block.expose_mutable());
      // OKM = first L octets of T(1) | T(2) | ...
      const std::size_t n = std::min(hash_size, out.size() - done);
      std::copy_n(block.expose().begin(), n, out.begin() + static_cast<std::ptrdiff_t>(done));
    }
  }

  [[nodiscard]] secret32 pbkdf2(byte_view password, byte_view salt, std::uint32_t iterations) const override {
    secret32 out;
    const auto rounds = static_cast<int>(std::clamp<std::uint32_t>(iterations, 1, INT_MAX));
    if (PKCS5_PBKDF2_HMAC(reinterpret_cast<const char*>(password.data()), int_size(password), salt.data(),
                          int_size(salt), rounds, fetched_sha256(), hash_size,
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
    auto scalar = private_key;
    const auto key = x25519_key(EVP_PKEY_KEYPAIR, {octets(OSSL_PKEY_PARAM_PRIV_KEY, scalar.expose_mutable()),
                                                   OSSL_PARAM_construct_end()});
    if (EVP_PKEY_get_raw_public_key(key.get(), out.data(), &size) != 1) out_of_crypto("X25519 failed");
    return out;
  }

  [[nodiscard]] result<secret32> x25519(const secret32& private_key,
                                        const byte_array<32>& peer) const override {
    auto scalar = private_key;
    auto theirs = peer;
    // Deriving does not read the public half of `own`, and computing it would double the cost.
    byte_array<32> unused{};
    const auto own =
        x25519_key(EVP_PKEY_KEYPAIR, {octets(OSSL_PKEY_PARAM_PRIV_KEY, scalar.expose_mutable()),
                                      octets(OSSL_PKEY_PARAM_PUB_KEY, unused), OSSL_PARAM_construct_end()});
    const auto other = x25519_key(EVP_PKEY_PUBLIC_KEY,
                                  {octets(OSSL_PKEY_PARAM_PUB_KEY, theirs), OSSL_PARAM_construct_end()});
    const pkey_ctx_ptr ctx{EVP_PKEY_CTX_new_from_pkey(nullptr, own.get(), nullptr)};
    if (!ctx || EVP_PKEY_derive_init(ctx.get()) != 1) out_of_crypto("X25519 failed");
    secret32 out;
    std::size_t size = 32;
    // Without OpenSSL's check of the peer's key: any 32 bytes are one (RFC 7748 section 5). OpenSSL refuses an
    // all-zero output; the comparison does so if a provider does not.
    if (EVP_PKEY_derive_set_peer_ex(ctx.get(), other.get(), 0) != 1 ||
        EVP_PKEY_derive(ctx.get(), out.expose_mutable().data(), &size) != 1 || size != 32 ||
        out == secret32{}) {
      ERR_clear_error();
      return fail(errc::crypto_weak, "the X25519 output is all zero");
    }
    return out;
  }

 private:
  static OSSL_PARAM octets(const char* name, std::span<std::uint8_t, 32> value) {
    return OSSL_PARAM_construct_octet_string(name, value.data(), value.size());
  }
  static pkey_ptr x25519_key(int selection, std::array<OSSL_PARAM, 3> params) {
    EVP_PKEY* key = nullptr;
    if (EVP_PKEY_fromdata(x25519_maker(), &key, selection, params.data()) != 1)
      out_of_crypto("X25519 failed");
    return pkey_ptr{key};
  }
};

}  // namespace

const suite& openssl_suite() {
  static const suite_on_openssl s;
  return s;
}

}  // namespace cpns::crypto
