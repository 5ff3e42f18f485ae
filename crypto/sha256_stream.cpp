#include "crypto/sha256_stream.hpp"

#include "crypto/openssl_handles.hpp"

namespace cpns::crypto {

struct sha256_stream::context {
  detail::md_ctx_ptr hash{EVP_MD_CTX_new()};
  context() { begin(); }
  void begin() const {
    if (!hash || EVP_DigestInit_ex2(hash.get(), EVP_sha256(), nullptr) != 1)
      detail::out_of_crypto("SHA-256 cannot begin");
  }
};

sha256_stream::sha256_stream() : context_(std::make_unique<context>()) {}
sha256_stream::~sha256_stream() = default;
sha256_stream::sha256_stream(sha256_stream&&) noexcept = default;
sha256_stream& sha256_stream::operator=(sha256_stream&&) noexcept = default;

void sha256_stream::add(byte_view part) {
  if (EVP_DigestUpdate(context_->hash.get(), part.data(), part.size()) != 1)
    detail::out_of_crypto("SHA-256 failed");
}

digest sha256_stream::finish() {
  digest out{};
  if (EVP_DigestFinal_ex(context_->hash.get(), out.data(), nullptr) != 1)
    detail::out_of_crypto("SHA-256 failed");
  context_->begin();
  return out;
}

}  // namespace cpns::crypto
