#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "crypto/tls_internal.hpp"

namespace cpns::crypto::detail {
namespace {

constexpr std::size_t file_size_max = 1 << 20;

class open_file {
 public:
  explicit open_file(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  open_file(const open_file&) = delete;
  open_file& operator=(const open_file&) = delete;
  ~open_file() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

tl::unexpected<error> file_error(std::string_view what, const std::string& path, int number) {
  return fail(errc::config_file, std::string{what} + " file " + path + ": " + std::strerror(number));
}

tl::unexpected<error> unusable(std::string_view what, const std::string& path, std::string_view why) {
  ERR_clear_error();
  return fail(errc::crypto_certificate, std::string{what} + " file " + path + " " + std::string{why});
}

/// `is_private`: no access for group and others, checked on the open file and not on its name.
result<secret_bytes> read_file(std::string_view what, const std::string& path, bool is_private) {
  if (path.empty()) return fail(errc::config_missing, std::string{what} + " file is not given");
  const open_file file{path};
  if (file.fd() < 0) return file_error(what, path, errno);
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0) return file_error(what, path, errno);
  if (!S_ISREG(info.st_mode))
    return fail(errc::config_file, std::string{what} + " file " + path + ": not a regular file");
  if (is_private && (info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return unusable(what, path, "can be used by group or others; run chmod 600 on it");
  if (info.st_size < 0 || static_cast<std::size_t>(info.st_size) > file_size_max)
    return unusable(what, path, "is larger than 1 MiB");

  // Reserved at once: a buffer that grows would leave copies of a key behind.
  bytes content(static_cast<std::size_t>(info.st_size));
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t n = ::read(file.fd(), content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int number = errno;
      wipe(content);
      return file_error(what, path, number);
    }
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  content.resize(done);
  return secret_bytes{std::move(content)};
}

int no_password(char*, int, int, void*) { return -1; }

result<std::vector<x509_ptr>> read_certificates(std::string_view what, const std::string& path) {
  CPNS_TRY(const auto content, read_file(what, path, false));
  const auto in = reading(content.expose());
  std::vector<x509_ptr> out;
  while (in) {
    x509_ptr next{PEM_read_bio_X509(in.get(), nullptr, no_password, nullptr)};
    if (!next) break;
    out.push_back(std::move(next));
  }
  // The end of the list is an error to OpenSSL; any other one is damage.
  const unsigned long code = ERR_peek_last_error();
  if (out.empty()) return unusable(what, path, "holds no PEM certificate");
  if (ERR_GET_LIB(code) != ERR_LIB_PEM || ERR_GET_REASON(code) != PEM_R_NO_START_LINE)
    return unusable(what, path, "holds a damaged PEM certificate");
  ERR_clear_error();
  return out;
}

result<pkey_ptr> read_key(const std::string& path) {
  CPNS_TRY(const auto content, read_file("private key", path, true));
  const auto in = reading(content.expose());
  pkey_ptr key{in ? PEM_read_bio_PrivateKey(in.get(), nullptr, no_password, nullptr) : nullptr};
  if (!key) return unusable("private key", path, "holds no PEM private key, or an encrypted one");
  return key;
}

status check_usage(X509* own, const std::string& path, tls_role role) {
  const bool server = role == tls_role::server;
  const auto usage = X509_get_extended_key_usage(own);
  if (usage == UINT32_MAX || (usage & (server ? XKU_SSL_SERVER : XKU_SSL_CLIENT)) == 0)
    return unusable("certificate", path,
                    server ? "is not for a server (extended key usage serverAuth)"
                           : "is not for a client (extended key usage clientAuth)");
  return {};
}

}  // namespace

std::string date_text(const ASN1_TIME* t) {
  std::tm when{};
  if (t == nullptr || ASN1_TIME_to_tm(t, &when) != 1) return "an unreadable date";
  std::array<char, 64> out{};
  const auto n = std::strftime(out.data(), out.size(), "%Y-%m-%d %H:%M:%S UTC", &when);
  return {out.data(), n};
}

status check_time(const X509* own, const std::string& path, time_point when) {
  std::time_t at = unix_seconds(when);
  if (X509_cmp_time(X509_get0_notAfter(own), &at) < 0)
    return unusable("certificate", path,
                    "expired on " + date_text(X509_get0_notAfter(own)) + "; issue a new one");
  if (X509_cmp_time(X509_get0_notBefore(own), &at) > 0)
    return unusable("certificate", path,
                    "is not valid before " + date_text(X509_get0_notBefore(own)) + "; check the clock");
  return {};
}

result<tls_material> load_material(const tls_files& files, tls_role role) {
  ERR_clear_error();
  tls_material m;
  CPNS_TRY(m.roots, read_certificates("CA", files.ca));
  CPNS_TRY(m.chain, read_certificates("certificate", files.certificate));
  CPNS_CHECK(check_usage(m.chain.front().get(), files.certificate, role));
  CPNS_TRY(m.key, read_key(files.key));
  if (X509_check_private_key(m.chain.front().get(), m.key.get()) != 1)
    return unusable("private key", files.key, "does not belong to the certificate in " + files.certificate);
  return m;
}

}  // namespace cpns::crypto::detail
