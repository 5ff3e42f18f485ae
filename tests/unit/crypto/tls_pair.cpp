#include "tls_pair.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>

#include "crypto/tls_hosts.hpp"

namespace cpns::crypto {

certificate_request request_for(certificate_usage usage, std::string uri) {
  certificate_request r;
  r.common_name = "test";
  r.uris = {std::move(uri)};
  r.usage = usage;
  r.not_before = now_wall() - std::chrono::minutes{5};
  r.not_after = now_wall() + std::chrono::hours{24};
  return r;
}

tls_home::tls_home() {
  std::string pattern = testing::TempDir() + "cpns-tls-XXXXXX";
  const char* made = ::mkdtemp(pattern.data());
  EXPECT_NE(made, nullptr);
  folder_ = pattern;
  ca = make_ca("test CA", 2).value();
  (void)write("ca.crt", ca.certificate_pem, 0644);
  server = files("server", request_for(certificate_usage::server, "urn:cpns:server:one"));
  client = files("client", request_for(certificate_usage::client, "urn:cpns:gw:hall"));
}

tls_home::~tls_home() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string tls_home::write(const std::string& name, std::string_view text, int mode) const {
  const auto path = folder_ + "/" + name;
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  EXPECT_GE(fd, 0);
  EXPECT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  EXPECT_EQ(::fchmod(fd, static_cast<mode_t>(mode)), 0);
  ::close(fd);
  return path;
}

tls_files tls_home::files(const std::string& name, certificate_request request,
                          const identity* issuer) const {
  const auto id = issue(issuer != nullptr ? *issuer : ca, request);
  EXPECT_TRUE(id) << id.error().message();
  return {folder_ + "/ca.crt", write(name + ".crt", id->certificate_pem, 0644),
          write(name + ".key", as_text(id->key_pem.expose()), 0600)};
}

tls_files without_usage(const tls_home& home, const tls_files& files) {
  using bio_ptr = std::unique_ptr<BIO, decltype(&BIO_free_all)>;
  const bio_ptr in{BIO_new_file(files.certificate.c_str(), "r"), BIO_free_all},
      out{BIO_new(BIO_s_mem()), BIO_free_all};
  const auto ca_key = home.ca.key_pem.expose();
  const bio_ptr key_in{BIO_new_mem_buf(ca_key.data(), static_cast<int>(ca_key.size())), BIO_free_all};
  const std::unique_ptr<X509, decltype(&X509_free)> c{PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr),
                                                      X509_free};
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{
      PEM_read_bio_PrivateKey(key_in.get(), nullptr, nullptr, nullptr), EVP_PKEY_free};
  X509_EXTENSION_free(X509_delete_ext(c.get(), X509_get_ext_by_NID(c.get(), NID_ext_key_usage, -1)));
  EXPECT_GT(X509_sign(c.get(), key.get(), EVP_sha256()), 0);
  EXPECT_EQ(PEM_write_bio_X509(out.get(), c.get()), 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  auto changed = files;
  changed.certificate = home.write("no-usage.crt", {data, static_cast<std::size_t>(size)}, 0644);
  return changed;
}

namespace {

int take_any_alpn(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned,
                  void*) {
  *out = in + 1;
  *size = in[0];
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

tls_context careless(bool server, const tls_files* files) {
  tls_context owner{SSL_CTX_new(server ? TLS_server_method() : TLS_client_method())};
  SSL_CTX* ctx = owner.get();
  SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, nullptr);
  if (server)
    SSL_CTX_set_alpn_select_cb(ctx, take_any_alpn, nullptr);
  else
    EXPECT_EQ(SSL_CTX_set_alpn_protos(ctx,
                                      reinterpret_cast<const unsigned char*>("\x06"
                                                                             "cpns/1"),
                                      7),
              0);
  if (files != nullptr) {
    EXPECT_EQ(SSL_CTX_use_certificate_file(ctx, files->certificate.c_str(), SSL_FILETYPE_PEM), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey_file(ctx, files->key.c_str(), SSL_FILETYPE_PEM), 1);
  }
  return owner;
}

tls_pair::tls_pair(SSL_CTX* client_context, SSL_CTX* server_context, const std::string& host)
    : client(SSL_new(client_context), SSL_free), server(SSL_new(server_context), SSL_free) {
  if (!host.empty()) {
    EXPECT_TRUE(name_host(client.get(), host));
  }
  BIO *near = nullptr, *far = nullptr;
  EXPECT_EQ(BIO_new_bio_pair(&near, 1 << 16, &far, 1 << 16), 1);
  SSL_set_bio(client.get(), near, near);
  SSL_set_bio(server.get(), far, far);
  SSL_set_connect_state(client.get());
  SSL_set_accept_state(server.get());

  // One step of one end: true while it may go on.
  const auto step = [](SSL* ssl, bool& ok, std::string& why, bool read_after) {
    ERR_clear_error();
    int n = SSL_do_handshake(ssl);
    if (n == 1) {
      ok = true;
      if (!read_after) return;
      std::array<char, 1> byte{};
      n = SSL_read(ssl, byte.data(), 1);
    }
    const int kind = SSL_get_error(ssl, n);
    if (n == 1 || kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) return;
    ok = false;
    why = tls_refusal(ssl);
  };
  for (int turn = 0; turn < 10; ++turn) {
    if (client_why.empty()) step(client.get(), client_ok, client_why, true);
    if (server_why.empty()) step(server.get(), server_ok, server_why, false);
  }
}

}  // namespace cpns::crypto
