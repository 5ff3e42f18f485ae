#pragma once

#include <memory>
#include <span>

#include "base/bytes.hpp"
#include "base/secret.hpp"

namespace cpns::crypto {

/// HMAC-SHA-256 with one key. suite::hmac gives its key to OpenSSL for each message and takes it away afterwards, which costs
/// more than the message. A key that its owner keeps in memory anyway, and uses thousands of times a second, stays here
/// until the object is destroyed. Not thread-safe.
class hmac_key {
 public:
  explicit hmac_key(const secret32& key);
  ~hmac_key();
  hmac_key(const hmac_key&) = delete;
  hmac_key& operator=(const hmac_key&) = delete;

  /// As suite::hmac.
  void tag(byte_view m, std::span<std::uint8_t, 32> out);

 private:
  struct context;
  const std::unique_ptr<context> context_;
};

}  // namespace cpns::crypto
