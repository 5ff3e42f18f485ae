#pragma once
// Certificate requests, as made by a device that keeps its private key.

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <utility>

namespace cpns::crypto {

using bio = std::unique_ptr<BIO, decltype(&BIO_free_all)>;
using pkey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

inline pkey new_key(EVP_PKEY* made) { return {made, EVP_PKEY_free}; }

inline std::string text_of(const bio& written) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(written.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

inline std::string key_text(const pkey& key) {
  const bio out{BIO_new(BIO_s_mem()), BIO_free_all};
  EXPECT_EQ(PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr), 1);
  return text_of(out);
}

/// A CSR for the public key of `key`, signed by `signer`, with a name and an extension of its own.
inline std::string csr_for(EVP_PKEY* key, EVP_PKEY* signer) {
  const std::unique_ptr<X509_REQ, decltype(&X509_REQ_free)> r{X509_REQ_new(), X509_REQ_free};
  EXPECT_EQ(X509_REQ_set_pubkey(r.get(), key), 1);
  EXPECT_EQ(X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(r.get()), "CN", MBSTRING_UTF8,
                                       reinterpret_cast<const unsigned char*>("other"), -1, -1, 0),
            1);
  std::unique_ptr<STACK_OF(X509_EXTENSION), void (*)(STACK_OF(X509_EXTENSION)*)> extensions{
      sk_X509_EXTENSION_new_null(),
      [](STACK_OF(X509_EXTENSION) * all) { sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free); }};
  for (const auto& [nid, value] : {std::pair{NID_subject_alt_name, "URI:urn:cpns:gw:other,DNS:other"},
                                   {NID_basic_constraints, "critical,CA:TRUE"}})
    sk_X509_EXTENSION_push(extensions.get(), X509V3_EXT_conf_nid(nullptr, nullptr, nid, value));
  EXPECT_EQ(X509_REQ_add_extensions(r.get(), extensions.get()), 1);
  const bool plain = EVP_PKEY_is_a(signer, "ED25519") == 1;
  EXPECT_GT(X509_REQ_sign(r.get(), signer, plain ? nullptr : EVP_sha256()), 0);
  const bio out{BIO_new(BIO_s_mem()), BIO_free_all};
  EXPECT_EQ(PEM_write_bio_X509_REQ(out.get(), r.get()), 1);
  return text_of(out);
}
inline std::string csr_for(const pkey& key) { return csr_for(key.get(), key.get()); }

/// An RSA key whose exponents are 1, so that every peer can sign with it.
inline pkey rsa_with_exponent_one() {
  const auto good = new_key(EVP_RSA_gen(2048));
  BIGNUM* n = nullptr;
  EXPECT_EQ(EVP_PKEY_get_bn_param(good.get(), OSSL_PKEY_PARAM_RSA_N, &n), 1);
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> modulus{n, BN_free};
  const std::unique_ptr<OSSL_PARAM_BLD, decltype(&OSSL_PARAM_BLD_free)> parts{OSSL_PARAM_BLD_new(),
                                                                              OSSL_PARAM_BLD_free};
  EXPECT_EQ(OSSL_PARAM_BLD_push_BN(parts.get(), OSSL_PKEY_PARAM_RSA_N, n), 1);
  EXPECT_EQ(OSSL_PARAM_BLD_push_ulong(parts.get(), OSSL_PKEY_PARAM_RSA_E, 1), 1);
  EXPECT_EQ(OSSL_PARAM_BLD_push_ulong(parts.get(), OSSL_PKEY_PARAM_RSA_D, 1), 1);
  const std::unique_ptr<OSSL_PARAM, decltype(&OSSL_PARAM_free)> params{OSSL_PARAM_BLD_to_param(parts.get()),
                                                                       OSSL_PARAM_free};
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> c{
      EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr), EVP_PKEY_CTX_free};
  EVP_PKEY* made = nullptr;
  EXPECT_EQ(EVP_PKEY_fromdata_init(c.get()), 1);
  EXPECT_EQ(EVP_PKEY_fromdata(c.get(), &made, EVP_PKEY_KEYPAIR, params.get()), 1);
  return new_key(made);
}

/// P-256, but described by its parameters instead of its name.
inline pkey explicit_p256() {
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> c{
      EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr), EVP_PKEY_CTX_free};
  std::string group = "P-256", encoding = OSSL_PKEY_EC_ENCODING_EXPLICIT;
  const OSSL_PARAM with[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), 0),
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, encoding.data(), 0),
      OSSL_PARAM_construct_end()};
  EVP_PKEY* made = nullptr;
  EXPECT_EQ(EVP_PKEY_keygen_init(c.get()), 1);
  EXPECT_EQ(EVP_PKEY_CTX_set_params(c.get(), with), 1);
  EXPECT_EQ(EVP_PKEY_generate(c.get(), &made), 1);
  return new_key(made);
}

}  // namespace cpns::crypto
