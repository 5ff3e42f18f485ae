#pragma once
// Small helpers of the crypto tests.

#include <gtest/gtest.h>

#include <numeric>
#include <string_view>

#include "base/bytes.hpp"
#include "base/secret.hpp"
#include "crypto/suite.hpp"

namespace cpns::crypto {

/// Bytes of a hexadecimal literal.
inline bytes hex(std::string_view digits) {
  auto b = from_hex(digits);
  EXPECT_TRUE(b) << "bad literal " << digits;
  return b.value_or(bytes{});
}
template <std::size_t N>
byte_array<N> hex_array(std::string_view digits) {
  const auto b = hex(digits);
  EXPECT_EQ(b.size(), N);
  return first<N>(b);
}
inline secret32 hex_secret(std::string_view digits) { return secret32{hex_array<32>(digits)}; }
template <std::size_t N>
std::string shown(const secret<N>& s) {
  return to_hex(s.expose());
}
/// A key whose bytes are all `v`.
inline secret32 filled(std::uint8_t v) {
  secret32 s;
  for (auto& b : s.expose_mutable()) b = v;
  return s;
}

/// The suite under test.
inline const suite& s = openssl_suite();

}  // namespace cpns::crypto
