#pragma once
// Owners for OpenSSL's objects. Private to crypto/: public headers must not include it.

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string_view>
#include <utility>

#include "base/bytes.hpp"

namespace cpns::crypto::detail {

template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* p) const noexcept {
    Free(p);
  }
};
template <class T, auto Free>
using handle = std::unique_ptr<T, freed_by<Free>>;

using bio_ptr = handle<BIO, BIO_free_all>;
using cipher_ctx_ptr = handle<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free>;
using cipher_ptr = handle<EVP_CIPHER, EVP_CIPHER_free>;
using mac_ctx_ptr = handle<EVP_MAC_CTX, EVP_MAC_CTX_free>;
using mac_ptr = handle<EVP_MAC, EVP_MAC_free>;
using md_ctx_ptr = handle<EVP_MD_CTX, EVP_MD_CTX_free>;
using md_ptr = handle<EVP_MD, EVP_MD_free>;
using pkey_ctx_ptr = handle<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using pkey_ptr = handle<EVP_PKEY, EVP_PKEY_free>;
using x509_ptr = handle<X509, X509_free>;
using x509_crl_ptr = handle<X509_CRL, X509_CRL_free>;

/// Aborts the process: an algorithm that every build of OpenSSL 3 has failed, so nothing can be protected any
/// more.
[[noreturn]] void out_of_crypto(std::string_view what) noexcept;

/// An OpenSSL context keeps its key, and values computed from it, until the next operation, and a thread may be
/// idle for hours: `forget` overwrites them at the end of the scope.
template <class Forget>
class forgetful {
 public:
  explicit forgetful(Forget forget) : forget_(std::move(forget)) {}
  forgetful(const forgetful&) = delete;
  forgetful& operator=(const forgetful&) = delete;
  ~forgetful() { forget_(); }

 private:
  Forget forget_;
};

/// Reads from `b`, which outlives the result. Null if memory runs out.
inline bio_ptr reading(byte_view b) { return bio_ptr{BIO_new_mem_buf(b.data(), static_cast<int>(b.size()))}; }

/// For PEM readers: keys are never encrypted, and without this callback OpenSSL prompts on the terminal.
inline int no_password(char*, int, int, void*) { return -1; }

}  // namespace cpns::crypto::detail
