#pragma once
// Randomness is an argument, like time. The production source is in crypto/suite.hpp; tests use a seeded one.

#include <cstdint>
#include <span>

#include "base/bytes.hpp"
#include "base/secret.hpp"

namespace cpns {

/// Not thread-safe unless the implementation says so.
class entropy {
 public:
  virtual ~entropy() = default;
  /// Fills `out` completely. Never fails: the production source aborts the process if the system provides no
  /// randomness.
  virtual void fill(std::span<std::uint8_t> out) = 0;

  template <std::size_t N>
  byte_array<N> draw() {
    byte_array<N> out;
    fill(out);
    return out;
  }
  template <std::size_t N>
  secret<N> draw_secret() {
    secret<N> out;
    fill(out.expose_mutable());
    return out;
  }
  template <class Id>
  Id draw_id() {
    Id id;
    fill(id.value);
    return id;
  }
  /// 0 <= result < bound, bound > 0. Uniform enough for jitter.
  std::uint64_t below(std::uint64_t bound) {
    std::uint64_t v = 0;
    for (auto b : draw<8>()) v = v << 8 | b;
    return v % bound;
  }
};

}  // namespace cpns
