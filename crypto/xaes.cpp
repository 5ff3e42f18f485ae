#include "crypto/xaes.hpp"

#include <algorithm>

#include "crypto/openssl_handles.hpp"
#include "crypto/suite.hpp"

namespace cpns::crypto {
namespace {

using namespace detail;

constexpr std::size_t block_size = 16;

const EVP_CIPHER* fetched_ecb() {
  static const cipher_ptr c{EVP_CIPHER_fetch(nullptr, "AES-256-ECB", nullptr)};
  return c.get();
}

/// AES-256 as a block function, one per thread.
struct block_cipher {
  cipher_ctx_ptr ctx{EVP_CIPHER_CTX_new()};

  block_cipher() {
    if (!ctx || EVP_EncryptInit_ex2(ctx.get(), fetched_ecb(), nullptr, nullptr, nullptr) != 1)
      out_of_crypto("AES-256-ECB is unavailable");
  }
  void start(const secret32& key) const {
    if (EVP_EncryptInit_ex2(ctx.get(), nullptr, key.expose().data(), nullptr, nullptr) != 1 ||
        EVP_CIPHER_CTX_set_padding(ctx.get(), 0) != 1)
      out_of_crypto("AES-256-ECB rejects the key");
  }
  /// `in` and `out` are whole blocks of the same size.
  void encrypt(byte_view in, std::span<std::uint8_t> out) const {
    int n = 0;
    if (EVP_EncryptUpdate(ctx.get(), out.data(), &n, in.data(), static_cast<int>(in.size())) != 1 ||
        static_cast<std::size_t>(n) != in.size())
      out_of_crypto("AES-256-ECB failed");
  }
};

struct derived {
  secret32 key;
  byte_array<12> nonce;
};

/// Steps 1 to 6 of the specification, with its names.
derived derive(const secret32& k, std::span<const std::uint8_t, xaes_nonce_size> n) {
  thread_local const block_cipher aes;
  const forgetful end{[] { aes.start(secret32{}); }};
  aes.start(k);

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

  // M1 = 00 01 58 00 || N[:12];  M2 = 00 02 58 00 || N[:12]
  secret<2 * block_size> m;
  const auto blocks = m.expose_mutable();
  for (std::size_t b = 0; b < 2; ++b) {
    const auto at = blocks.subspan(b * block_size, block_size);
    at[1] = static_cast<std::uint8_t>(b + 1);
    at[2] = 'X';
    std::copy_n(n.begin(), 12, at.begin() + 4);
    for (std::size_t i = 0; i < block_size; ++i) at[i] ^= out[i];
  }

  // Kx = AES-256_K(M1 xor K1) || AES-256_K(M2 xor K1);  Nx = N[12:]
  derived d{{}, first<12>(n.subspan<12>())};
  aes.encrypt(m.expose(), d.key.expose_mutable());
  return d;
}

}  // namespace

bytes xaes_seal_with(const secret32& key, const byte_array<xaes_nonce_size>& nonce, byte_view aad,
                     byte_view plain) {
  const auto d = derive(key, nonce);
  const auto sealed = openssl_suite().gcm_seal(d.key, d.nonce, aad, plain);
  bytes out;
  out.reserve(nonce.size() + sealed.size());
  out.insert(out.end(), nonce.begin(), nonce.end());
  out.insert(out.end(), sealed.begin(), sealed.end());
  return out;
}

bytes xaes_seal(const secret32& key, entropy& random, byte_view aad, byte_view plain) {
  return xaes_seal_with(key, random.draw<xaes_nonce_size>(), aad, plain);
}

result<secret_bytes> xaes_open(const secret32& key, byte_view aad, byte_view sealed) {
  if (sealed.size() < xaes_overhead)
    return fail(errc::crypto_open_failed,
                "a sealed record has 40 bytes or more, this one has " + std::to_string(sealed.size()));
  const auto d = derive(key, sealed.first<xaes_nonce_size>());
  return openssl_suite().gcm_open(d.key, d.nonce, aad, sealed.subspan(xaes_nonce_size));
}

}  // namespace cpns::crypto
