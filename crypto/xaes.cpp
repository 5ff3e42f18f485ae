#include "crypto/xaes.hpp"

#include <algorithm>
#include <string>

#include "crypto/gcm.hpp"
#include "crypto/openssl_handles.hpp"

namespace cpns::crypto {

using namespace detail;

namespace {

constexpr std::size_t block_size = 16;

const EVP_CIPHER* fetched_ecb() {
  static const cipher_ptr c{EVP_CIPHER_fetch(nullptr, "AES-256-ECB", nullptr)};
  return c.get();
}

/// AES-256 as a block function.
class block_cipher {
 public:
  explicit block_cipher(const secret32& key) {
    if (!ctx_ || EVP_EncryptInit_ex2(ctx_.get(), fetched_ecb(), key.expose().data(), nullptr, nullptr) != 1 ||
        EVP_CIPHER_CTX_set_padding(ctx_.get(), 0) != 1)
      out_of_crypto("AES-256-ECB is unavailable");
  }
  /// `in` and `out` are whole blocks of the same size.
  void encrypt(byte_view in, std::span<std::uint8_t> out) const {
    int n = 0;
    if (EVP_EncryptUpdate(ctx_.get(), out.data(), &n, in.data(), static_cast<int>(in.size())) != 1 ||
        static_cast<std::size_t>(n) != in.size())
      out_of_crypto("AES-256-ECB failed");
  }

 private:
  cipher_ctx_ptr ctx_{EVP_CIPHER_CTX_new()};
};

/// Steps 1 and 2 of the specification, with its names: those that depend on the key alone.
secret<block_size> subkey(const block_cipher& aes) {
  // L = AES-256_K(0^128)
  secret<block_size> l;
  aes.encrypt(secret<block_size>{}.expose(), l.expose_mutable());

  // If MSB1(L) = 0 then K1 = L << 1, else K1 = (L << 1) xor 0^120 10000111; without a branch on the secret
  // bit.
  secret<block_size> k1;
  const auto in = l.expose();
  const auto out = k1.expose_mutable();
  for (std::size_t i = 0; i < block_size; ++i)
    out[i] = static_cast<std::uint8_t>(in[i] << 1 | (i + 1 < block_size ? in[i + 1] >> 7 : 0));
  out[block_size - 1] ^= static_cast<std::uint8_t>(0x87 & -(in[0] >> 7));
  return k1;
}

}  // namespace

struct xaes_key::context {
  explicit context(const secret32& key) : aes(key), k1(subkey(aes)) {}

  /// Steps 3 to 6: Kx.
  [[nodiscard]] secret32 record_key(byte_view n) const {
    // M1 = 00 01 58 00 || N[:12];  M2 = 00 02 58 00 || N[:12]
    secret<2 * block_size> m;
    const auto blocks = m.expose_mutable();
    for (std::size_t b = 0; b < 2; ++b) {
      const auto at = blocks.subspan(b * block_size, block_size);
      at[1] = static_cast<std::uint8_t>(b + 1);
      at[2] = 'X';
      std::copy_n(n.begin(), 12, at.begin() + 4);
      for (std::size_t i = 0; i < block_size; ++i) at[i] ^= k1.expose()[i];
    }
    // Kx = AES-256_K(M1 xor K1) || AES-256_K(M2 xor K1)
    secret32 out;
    aes.encrypt(m.expose(), out.expose_mutable());
    return out;
  }
  /// Nx = N[12:]
  static byte_array<12> record_nonce(byte_view n) { return first<12>(n.subspan(12, 12)); }

  const block_cipher aes;
  const secret<block_size> k1;
  const gcm aead;
};

xaes_key::xaes_key(const secret32& key) : context_(std::make_unique<context>(key)) {}
xaes_key::~xaes_key() = default;

void xaes_key::seal(byte_view aad, std::span<std::uint8_t> record) {
  const auto nonce = record.first(xaes_nonce_size);
  const auto text = record.subspan(xaes_nonce_size);
  context_->aead.seal(context_->record_key(nonce), context::record_nonce(nonce), aad,
                      text.first(text.size() - xaes_tag_size), text);
}

bool xaes_key::open(byte_view aad, byte_view sealed, std::span<std::uint8_t> plain) {
  const auto nonce = sealed.first(xaes_nonce_size);
  return context_->aead.open(context_->record_key(nonce), context::record_nonce(nonce), aad,
                             sealed.subspan(xaes_nonce_size), plain);
}

void xaes_key::forget_record() noexcept { context_->aead.forget(); }

bytes xaes_seal_with(const secret32& key, const byte_array<xaes_nonce_size>& nonce, byte_view aad,
                     byte_view plain) {
  bytes out(xaes_overhead + plain.size());
  std::copy(nonce.begin(), nonce.end(), out.begin());
  std::copy(plain.begin(), plain.end(), out.begin() + xaes_nonce_size);
  xaes_key{key}.seal(aad, out);
  return out;
}

bytes xaes_seal(const secret32& key, entropy& random, byte_view aad, byte_view plain) {
  return xaes_seal_with(key, random.draw<xaes_nonce_size>(), aad, plain);
}

result<secret_bytes> xaes_open(const secret32& key, byte_view aad, byte_view sealed) {
  if (sealed.size() < xaes_overhead)
    return fail(errc::crypto_open_failed,
                "a sealed record has 40 bytes or more, this one has " + std::to_string(sealed.size()));
  bytes plain(sealed.size() - xaes_overhead);
  if (!xaes_key{key}.open(aad, sealed, plain)) return fail(errc::crypto_open_failed);
  return secret_bytes{std::move(plain)};
}

}  // namespace cpns::crypto
