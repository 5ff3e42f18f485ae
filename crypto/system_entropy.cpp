#include <openssl/err.h>
#include <openssl/rand.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstdlib>

#include "base/log.hpp"
#include "crypto/openssl_handles.hpp"
#include "crypto/suite.hpp"

namespace cpns::crypto {
namespace detail {

void out_of_crypto(std::string_view what) noexcept {
  char reason[256] = "no further reason";
  if (const unsigned long code = ERR_peek_last_error(); code != 0)
    ERR_error_string_n(code, reason, sizeof reason);
  log::flush(std::chrono::milliseconds{200});
  std::fprintf(stderr, "cpns: the cryptographic library failed: %.*s (%s); the process ends\n",
               static_cast<int>(what.size()), what.data(), reason);
  std::abort();
}

}  // namespace detail
namespace {

/// Raised in the child by fork: parent and child must not use the same bytes drawn in advance.
std::atomic<std::uint64_t> forks{0};

void draw_from_openssl(std::span<std::uint8_t> out) {
  while (!out.empty()) {
    const auto n = std::min<std::size_t>(out.size(), INT_MAX);
    if (RAND_bytes(out.data(), static_cast<int>(n)) != 1)
      detail::out_of_crypto("the system provides no randomness");
    out = out.subspan(n);
  }
}

/// Drawn in advance, because one call for 4096 bytes costs little more than one for 32.
class block {
 public:
  block() = default;
  block(const block&) = delete;
  block& operator=(const block&) = delete;
  ~block() { discard(); }

  void take(std::span<std::uint8_t> out) {
    if (const auto now = forks.load(std::memory_order_relaxed); now != fork_) {
      discard();
      fork_ = now;
    }
    if (out.size() > left_) {
      draw_from_openssl(bytes_);
      left_ = bytes_.size();
    }
    const auto from = bytes_.begin() + static_cast<std::ptrdiff_t>(left_ - out.size());
    std::copy_n(from, out.size(), out.begin());
    wipe(&*from, out.size());
    left_ -= out.size();
  }

  static constexpr std::size_t size = 4096;

 private:
  void discard() {
    wipe(bytes_.data(), bytes_.size());
    left_ = 0;
  }

  std::array<std::uint8_t, size> bytes_{};
  std::size_t left_ = 0;
  std::uint64_t fork_ = forks.load(std::memory_order_relaxed);
};

class openssl_entropy final : public entropy {
 public:
  openssl_entropy() {
    if (pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); }) != 0)
      detail::out_of_crypto("cannot register the fork handler");
  }

  void fill(std::span<std::uint8_t> out) override {
    if (out.empty()) return;
    if (out.size() > block::size / 4) return draw_from_openssl(out);
    thread_local block b;
    b.take(out);
  }
};

}  // namespace

entropy& system_entropy() {
  static openssl_entropy e;
  return e;
}

}  // namespace cpns::crypto
