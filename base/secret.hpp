#pragma once
// Secrets: wiped on destruction, compared in constant time, and without any way to print, log or serialise
// them by accident. `secret<N>` has a fixed size and no allocation; `secret_bytes` has any size.

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace cpns {

/// Overwrites memory; the compiler does not remove it.
void wipe(void* p, std::size_t n) noexcept;
inline void wipe(std::string& s) noexcept {
  wipe(s.data(), s.size());
  s.clear();
}
inline void wipe(bytes& b) noexcept {
  wipe(b.data(), b.size());
  b.clear();
}

/// Compares in a time that depends on the length alone.
[[nodiscard]] bool equal_constant_time(byte_view a, byte_view b) noexcept;

template <std::size_t N>
class secret {
 public:
  static constexpr std::size_t size = N;

  secret() = default;
  explicit secret(std::span<const std::uint8_t, N> from) {
    for (std::size_t i = 0; i < N; ++i) data_[i] = from[i];
  }
  secret(const secret&) = default;
  secret& operator=(const secret&) = default;
  secret(secret&& other) noexcept : data_(other.data_) { other.clear(); }
  secret& operator=(secret&& other) noexcept {
    if (this != &other) {
      data_ = other.data_;
      other.clear();
    }
    return *this;
  }
  ~secret() { clear(); }

  /// The bytes, for crypto/ and for sealing. The name makes each use easy to find in a review.
  [[nodiscard]] std::span<const std::uint8_t, N> expose() const { return data_; }
  [[nodiscard]] std::span<std::uint8_t, N> expose_mutable() { return data_; }
  void clear() noexcept { wipe(data_.data(), N); }

  friend bool operator==(const secret& a, const secret& b) { return equal_constant_time(a.data_, b.data_); }

 private:
  std::array<std::uint8_t, N> data_{};
};

using secret16 = secret<16>;
using secret32 = secret<32>;

/// Secret bytes of any length (a row before sealing, a Temporary Key as imported, a password).
class secret_bytes {
 public:
  secret_bytes() = default;
  explicit secret_bytes(bytes b) : data_(std::move(b)) {}
  explicit secret_bytes(byte_view b) : data_(b.begin(), b.end()) {}
  static secret_bytes from_text(std::string_view t) { return secret_bytes(as_bytes(t)); }
  secret_bytes(const secret_bytes&) = default;
  secret_bytes(secret_bytes&& other) noexcept : data_(std::move(other.data_)) { other.data_.clear(); }
  secret_bytes& operator=(const secret_bytes& other) {
    if (this != &other) {
      clear();
      data_ = other.data_;
    }
    return *this;
  }
  secret_bytes& operator=(secret_bytes&& other) noexcept {
    if (this != &other) {
      clear();
      data_ = std::move(other.data_);
      other.data_.clear();
    }
    return *this;
  }
  ~secret_bytes() { clear(); }

  [[nodiscard]] byte_view expose() const { return data_; }
  [[nodiscard]] std::size_t size() const { return data_.size(); }
  [[nodiscard]] bool empty() const { return data_.empty(); }
  void clear() noexcept { wipe(data_); }

  friend bool operator==(const secret_bytes& a, const secret_bytes& b) {
    return equal_constant_time(a.data_, b.data_);
  }

 private:
  bytes data_;
};

}  // namespace cpns
