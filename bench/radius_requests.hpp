#pragma once
// Requests of a network access server to RADIUS (RFC 2865): a user's password, hidden with the shared secret.

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.hpp"

namespace cpns::bench {

/// Each lane is a UDP port with identifiers of its own. [one thread]
class radius_requests {
 public:
  radius_requests(std::string secret, std::vector<std::pair<std::string, bytes>> users, std::size_t lanes)
      : secret_(std::move(secret)), users_(std::move(users)), lanes_(lanes) {}

  /// An Access-Request with User-Name, User-Password, NAS-Port and Message-Authenticator.
  bytes next(std::size_t lane) {
    const auto& [name, password] = users_[++count_ % users_.size()];
    auto& of = lanes_[lane];
    const auto id = ++of.last_id;
    auto& asked = of.authenticators[id];
    RAND_bytes(asked.data(), 16);
    bytes out;
    out.reserve(256);
    for (const int b : {1, int{id}, 0, 0}) out.push_back(static_cast<std::uint8_t>(b));
    out.insert(out.end(), asked.begin(), asked.end());
    add(out, 1, as_bytes(name));
    add(out, 2, hidden(password, asked));
    add(out, 5, bytes{0, 0, 0, 1});
    add(out, 80, bytes(16));
    out[2] = static_cast<std::uint8_t>(out.size() >> 8);
    out[3] = static_cast<std::uint8_t>(out.size());
    HMAC(EVP_md5(), secret_.data(), static_cast<int>(secret_.size()), out.data(), out.size(),
         out.data() + out.size() - 16, nullptr);
    return out;
  }

  /// An Access-Accept whose authenticator is right: MD5 of it with the authenticator of the request, and the secret.
  [[nodiscard]] bool granted(std::size_t lane, byte_view answer) const {
    if (answer.size() < 20 || answer[0] != 2) return false;
    const auto& asked = lanes_[lane].authenticators[answer[1]];
    bytes in{answer.begin(), answer.end()};
    std::copy(asked.begin(), asked.end(), in.begin() + 4);
    return equal(md5(in, as_bytes(secret_)), answer.subspan(4, 16));
  }

 private:
  using authenticator = byte_array<16>;
  struct lane_state {
    std::uint8_t last_id = 0;
    std::array<authenticator, 256> authenticators{};
  };

  static void add(bytes& to, std::uint8_t kind, byte_view value) {
    to.push_back(kind);
    to.push_back(static_cast<std::uint8_t>(value.size() + 2));
    to.insert(to.end(), value.begin(), value.end());
  }
  static byte_array<16> md5(byte_view a, byte_view b) {
    bytes in{a.begin(), a.end()};
    in.insert(in.end(), b.begin(), b.end());
    byte_array<16> out{};
    EVP_Digest(in.data(), in.size(), out.data(), nullptr, EVP_md5(), nullptr);
    return out;
  }
  /// RFC 2865 section 5.2.
  [[nodiscard]] bytes hidden(byte_view password, const authenticator& asked) const {
    bytes out{password.begin(), password.end()};
    out.resize((out.size() + 15) / 16 * 16);
    byte_array<16> before = asked;
    for (std::size_t from = 0; from < out.size(); from += 16) {
      const auto mask = md5(as_bytes(secret_), before);
      for (std::size_t i = 0; i < 16; ++i)
        before[i] = out[from + i] = static_cast<std::uint8_t>(out[from + i] ^ mask[i]);
    }
    return out;
  }

  std::string secret_;
  std::vector<std::pair<std::string, bytes>> users_;
  std::vector<lane_state> lanes_;
  std::size_t count_ = 0;
};

}  // namespace cpns::bench
