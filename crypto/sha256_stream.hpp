#pragma once

#include <memory>

#include "crypto/suite.hpp"

namespace cpns::crypto {

/// SHA-256 of data that arrives in parts, such as a file that is too large for memory. Not thread-safe.
class sha256_stream {
 public:
  sha256_stream();
  ~sha256_stream();
  sha256_stream(sha256_stream&&) noexcept;
  sha256_stream& operator=(sha256_stream&&) noexcept;

  void add(byte_view part);
  /// The digest of all parts since the last call; the next part begins another digest.
  digest finish();

 private:
  struct context;
  std::unique_ptr<context> context_;
};

}  // namespace cpns::crypto
