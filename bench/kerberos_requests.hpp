#pragma once
// Requests of clients of a KDC (RFC 4120): each AS-REQ has an encrypted timestamp of its own, so that the KDC verifies the
// client's key and cannot answer from its memory of requests.

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"

namespace cpns::bench {

/// The little of ASN.1's distinguished encoding that an AS-REQ needs.
namespace der {

inline bytes joined(std::initializer_list<bytes> parts) {
  bytes out;
  for (const auto& p : parts) out.insert(out.end(), p.begin(), p.end());
  return out;
}
inline bytes value(std::uint8_t tag, byte_view content) {
  const auto n = content.size();
  bytes out;
  out.reserve(n + 4);
  out.push_back(tag);
  if (n >= 0x100) {
    out.push_back(0x82);
    out.push_back(static_cast<std::uint8_t>(n >> 8));
  } else if (n >= 0x80) {
    out.push_back(0x81);
  }
  out.push_back(static_cast<std::uint8_t>(n));
  out.insert(out.end(), content.begin(), content.end());
  return out;
}
inline bytes field(int number, const bytes& content) {
  return value(static_cast<std::uint8_t>(0xa0 | number), content);
}
inline bytes application(int number, const bytes& content) {
  return value(static_cast<std::uint8_t>(0x60 | number), content);
}
inline bytes sequence(std::initializer_list<bytes> parts) { return value(0x30, joined(parts)); }
inline bytes octets(byte_view content) { return value(0x04, content); }
inline bytes text(std::string_view content) { return value(0x1b, as_bytes(content)); }
/// Below 2^31.
inline bytes integer(std::uint32_t n) {
  bytes out;
  for (int shift = 24; shift >= 0; shift -= 8)
    if (n >> shift != 0 || shift == 0) out.push_back(static_cast<std::uint8_t>(n >> shift));
  if (out.front() >= 0x80) out.insert(out.begin(), 0);
  return value(0x02, out);
}
inline bytes time(std::int64_t unix_seconds) {
  const std::time_t t = unix_seconds;
  std::tm utc{};
  gmtime_r(&t, &utc);
  char out[16];
  std::strftime(out, sizeof out, "%Y%m%d%H%M%SZ", &utc);
  return value(0x18, as_bytes(out));
}

}  // namespace der

/// The encryption aes256-cts-hmac-sha1-96 (RFC 3962) with one key, for one purpose.
class kerberos_cipher {
 public:
  static constexpr std::uint32_t number = 18;  ///< of the encryption type
  static constexpr std::uint8_t timestamp_usage = 1;

  kerberos_cipher(byte_view key, std::uint8_t usage) : integrity_(derive(key, usage, 0x55)) {
    const auto secret = derive(key, usage, 0xaa);
    char mode[] = OSSL_CIPHER_CTS_MODE_CS3;
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_CIPHER_PARAM_CTS_MODE, mode, 0),
                                 OSSL_PARAM_END};
    static const std::unique_ptr<EVP_CIPHER, decltype(&EVP_CIPHER_free)> cts{
        EVP_CIPHER_fetch(nullptr, "AES-256-CBC-CTS", nullptr), EVP_CIPHER_free};
    if (EVP_EncryptInit_ex2(context_.get(), cts.get(), secret.data(), zero, params) != 1) fail_here();
  }

  bytes encrypt(byte_view plain) {
    bytes in(16), out(plain.size() + 16 + 12);
    RAND_bytes(in.data(), 16);
    in.insert(in.end(), plain.begin(), plain.end());
    int n = 0;
    if (EVP_EncryptInit_ex2(context_.get(), nullptr, nullptr, zero, nullptr) != 1 ||
        EVP_EncryptUpdate(context_.get(), out.data(), &n, in.data(), static_cast<int>(in.size())) != 1)
      fail_here();
    std::uint8_t sum[20];
    HMAC(EVP_sha1(), integrity_.data(), static_cast<int>(integrity_.size()), in.data(), in.size(), sum,
         nullptr);
    std::copy_n(sum, 12, out.begin() + static_cast<std::ptrdiff_t>(in.size()));
    return out;
  }

 private:
  using context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;
  static constexpr std::uint8_t zero[16] = {};
  [[noreturn]] static void fail_here() {
    throw std::runtime_error("OpenSSL has no AES with ciphertext stealing");
  }

  /// n-fold of RFC 3961: the sum, with end-around carry, of copies that are each rotated by 13 bits more.
  static bytes fold(byte_view in) {
    const auto bit = [&in](std::size_t i) { return static_cast<unsigned>(in[i / 8] >> (7 - i % 8) & 1); };
    const auto copies = 16 * in.size() / gcd(16, in.size()) / in.size();
    bytes stretched;
    for (std::size_t c = 0; c < copies; ++c) {
      bytes one(in.size());
      for (std::size_t i = 0; i < in.size() * 8; ++i)
        one[i / 8] |= static_cast<std::uint8_t>(bit((i + in.size() * 8 * 13 - 13 * c) % (in.size() * 8))
                                                << (7 - i % 8));
      stretched.insert(stretched.end(), one.begin(), one.end());
    }
    bytes out(16);
    unsigned carry = 0;
    for (std::size_t from = 0; from < stretched.size(); from += 16)
      carry = add(out, stretched.data() + from, carry);
    const bytes nothing(16);
    while (carry != 0) carry = add(out, nothing.data(), carry);
    return out;
  }
  static unsigned add(bytes& to, const std::uint8_t* what, unsigned carry) {
    for (std::size_t i = 16; i-- > 0;) {
      carry += static_cast<unsigned>(to[i]) + what[i];
      to[i] = static_cast<std::uint8_t>(carry);
      carry >>= 8;
    }
    return carry;
  }
  static std::size_t gcd(std::size_t a, std::size_t b) { return b == 0 ? a : gcd(b, a % b); }

  /// DK of RFC 3961.
  static bytes derive(byte_view key, std::uint8_t usage, std::uint8_t purpose) {
    const std::uint8_t constant[] = {0, 0, 0, usage, purpose};
    bytes block = fold(constant), out;
    const context c{EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free};
    for (int half = 0; half < 2; ++half) {
      int n = 0;
      if (EVP_EncryptInit_ex(c.get(), EVP_aes_256_ecb(), nullptr, key.data(), nullptr) != 1 ||
          EVP_EncryptUpdate(c.get(), block.data(), &n, block.data(), 16) != 1)
        fail_here();
      out.insert(out.end(), block.begin(), block.end());
    }
    return out;
  }

  bytes integrity_;
  context context_{EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free};
};

/// [one thread]
class kerberos_requests {
 public:
  /// `names` with their keys, which are of aes256-cts-hmac-sha1-96.
  kerberos_requests(std::string realm, const std::vector<std::pair<std::string, bytes>>& names)
      : realm_(std::move(realm)) {
    for (const auto& [name, key] : names)
      clients_.push_back({name, std::make_unique<kerberos_cipher>(key, kerberos_cipher::timestamp_usage)});
  }

  bytes next(std::size_t /*lane*/) {
    auto& who = clients_[++count_ % clients_.size()];
    const auto now = now_wall().time_since_epoch();
    const auto whole = std::chrono::duration_cast<seconds>(now);
    const auto rest = std::chrono::duration_cast<std::chrono::microseconds>(now - whole).count();
    const auto stamp =
        who.cipher->encrypt(der::sequence({der::field(0, der::time(whole.count())),
                                           der::field(1, der::integer(static_cast<std::uint32_t>(rest)))}));
    const auto proof = der::sequence(
        {der::field(0, der::integer(kerberos_cipher::number)), der::field(2, der::octets(stamp))});
    return request(
        who.name,
        der::sequence({der::sequence({der::field(1, der::integer(2)), der::field(2, der::octets(proof))})}),
        whole.count());
  }
  /// A request that does not show the key.
  bytes without_proof() { return request(clients_.front().name, {}, unix_seconds(now_wall())); }
  /// An AS-REP, which only a client that showed its key gets.
  [[nodiscard]] bool granted(std::size_t /*lane*/, byte_view answer) const {
    return !answer.empty() && answer[0] == 0x6b;
  }

 private:
  struct client {
    std::string name;
    std::unique_ptr<kerberos_cipher> cipher;
  };

  [[nodiscard]] bytes request(const std::string& name, const bytes& proofs, std::int64_t now) const {
    const auto principal = [](std::uint32_t kind, std::initializer_list<bytes> parts) {
      return der::sequence({der::field(0, der::integer(kind)), der::field(1, der::sequence(parts))});
    };
    std::uint32_t nonce = 0;
    RAND_bytes(reinterpret_cast<unsigned char*>(&nonce), sizeof nonce);
    const std::uint8_t no_options[] = {0, 0, 0, 0, 0};
    const auto body =
        der::sequence({der::field(0, der::value(0x03, no_options)),
                       der::field(1, principal(1, {der::text(name)})), der::field(2, der::text(realm_)),
                       der::field(3, principal(2, {der::text("krbtgt"), der::text(realm_)})),
                       der::field(5, der::time(now + 36'000)), der::field(7, der::integer(nonce >> 1)),
                       der::field(8, der::sequence({der::integer(kerberos_cipher::number)}))});
    return der::application(
        10, der::sequence({der::field(1, der::integer(5)), der::field(2, der::integer(10)),
                           proofs.empty() ? bytes{} : der::field(3, proofs), der::field(4, body)}));
  }

  std::string realm_;
  std::vector<client> clients_;
  std::size_t count_ = 0;
};

}  // namespace cpns::bench
