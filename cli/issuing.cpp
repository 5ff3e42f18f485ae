#include "cli/issuing.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "base/descriptor.hpp"
#include "base/private_file.hpp"
#include "base/text.hpp"
#include "config/values.hpp"
#include "crypto/pki.hpp"
#include "storage/file.hpp"

namespace cpns::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t pem_max = 64 * 1024;
constexpr unsigned days_max = 3650;

tl::unexpected<error> bad_file(const fs::path& file, int number) {
  return fail(errc::config_file, file.string() + ": " + std::strerror(number));
}

/// A file with its temporary name, and then with its final one, until `keep` is called.
class placed_file {
 public:
  placed_file(const new_file& file, bool replace) : file_(file), replace_(replace), temporary_(file.path) {
    temporary_ += ".creating";  // not NAME.new, which people choose for a key of their own
  }
  placed_file(const placed_file&) = delete;
  placed_file& operator=(const placed_file&) = delete;
  ~placed_file() {
    if (placed_ && !kept_) take_back();
    if (written_) ::unlink(temporary_.c_str());
  }

  /// The file's name is free, or may be replaced.
  [[nodiscard]] status check() {
    struct stat about {};
    exists_ = ::lstat(file_.path.c_str(), &about) == 0;
    if (!exists_) return errno == ENOENT ? status{} : bad_file(file_.path, errno);
    if (!replace_)
      return fail(errc::state_exists,
                  file_.path.string() + "; choose another name or --out, or replace it with --replace");
    if (!S_ISREG(about.st_mode) && !S_ISLNK(about.st_mode))
      return fail(errc::config_file,
                  file_.path.string() + ": not a regular file, so --replace does not replace it; remove it");
    return {};
  }
  [[nodiscard]] status write() {
    // A crash may leave this file behind; nobody uses it.
    if (::unlink(temporary_.c_str()) != 0 && errno != ENOENT) return bad_file(temporary_, errno);
    const descriptor fd(
        ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, file_.mode));
    if (!fd.valid()) return bad_file(temporary_, errno);
    written_ = true;
    if (const auto done = storage::write_all(fd.get(), file_.content, temporary_); !done)
      return fail(errc::config_file, done.error().detail);
    return ::fsync(fd.get()) == 0 ? status{} : bad_file(temporary_, errno);
  }
  [[nodiscard]] status place() {
    CPNS_CHECK(check());
    // The old file keeps the temporary name until all new files have theirs.
    if (!rename(temporary_, file_.path, exists_ ? RENAME_EXCHANGE : RENAME_NOREPLACE))
      return bad_file(file_.path, errno);
    placed_ = true;
    return {};
  }
  void keep() { kept_ = true; }

 private:
  static bool rename(const fs::path& from, const fs::path& to, unsigned flags) {
    return ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) == 0;
  }
  void take_back() const {
    if (exists_)
      (void)rename(temporary_, file_.path, RENAME_EXCHANGE);
    else
      ::unlink(file_.path.c_str());
  }

  const new_file& file_;
  const bool replace_;
  fs::path temporary_;
  bool exists_ = false, written_ = false, placed_ = false, kept_ = false;
};

const char* word_of(certificate_kind kind) {
  switch (kind) {
  case certificate_kind::gateway: return "gw";
  case certificate_kind::server: return "server";
  case certificate_kind::admin: break;
  }
  return "admin";
}

bool is_host(const std::string& name) {
  const auto read = config::parse_address(name + ":1");
  return read && read->host == name;
}

bool is_ip(const std::string& text) {
  std::array<unsigned char, sizeof(in6_addr)> out{};
  return ::inet_pton(AF_INET, text.c_str(), out.data()) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), out.data()) == 1;
}

status check_options(const issue_options& o) {
  if (const auto wrong = config::wrong_name(o.name); !wrong.empty())
    return fail(errc::config_usage, "NAME: " + wrong);
  if (o.days && (*o.days == 0 || *o.days > days_max))
    return fail(errc::config_usage, "--days: 1 to " + std::to_string(days_max));
  if (o.kind != certificate_kind::server && !(o.dns.empty() && o.ips.empty()))
    return fail(errc::config_usage, "--dns and --ip are for a server alone; leave them out");
  for (const auto& name : o.dns)
    if (!is_host(name)) return fail(errc::config_usage, "--dns: " + shown(name) + " is not a host name");
  for (const auto& ip : o.ips)
    if (!is_ip(ip)) return fail(errc::config_usage, "--ip: " + shown(ip) + " is not an IPv4 or IPv6 address");
  return {};
}

result<time_point> end_of(const issue_options& o, const crypto::validity& ca, time_point now) {
  const auto end = now + std::chrono::days{o.days.value_or(certificate_days)};
  if (end <= ca.to) return end;
  if (!o.days) return ca.to;
  const auto left = std::chrono::floor<std::chrono::days>(ca.to - now).count();
  return fail(errc::config_usage, "--days " + std::to_string(*o.days) + ": the CA ends on " +
                                      utc_text(unix_seconds(ca.to)) + "; choose at most " +
                                      std::to_string(left) + ", or leave --days out");
}

crypto::certificate_request request_of(const issue_options& o, const open_ca& ca, time_point now,
                                       time_point end) {
  crypto::certificate_request r;
  r.common_name = o.name;
  r.uris = {std::string{"urn:cpns:"} + word_of(o.kind) + ":" + o.name};
  r.not_before = std::max(now - std::chrono::hours{1}, ca.dates.from);
  r.not_after = end;
  if (o.kind != certificate_kind::server) return r;
  r.usage = crypto::certificate_usage::server;
  r.dns = o.dns;
  r.ips = o.ips;
  if (r.dns.empty() && r.ips.empty()) {
    r.dns = {"localhost"};
    r.ips = {"127.0.0.1", "::1"};
  }
  return r;
}

/// --replace must not destroy the CA itself, by whatever path the new file has its name.
status check_not_the_ca(const fs::path& file, const fs::path& ca) {
  for (const auto* own : {"ca.pem", "ca.key"}) {
    std::error_code missing;
    if (fs::equivalent(file, ca / own, missing))
      return fail(errc::config_usage, file.string() + " is a file of the CA; choose another name or --out");
  }
  return {};
}

result<crypto::identity> make_identity(const issue_options& o, const crypto::identity& ca,
                                       const crypto::certificate_request& request) {
  if (o.csr.empty()) return crypto::issue(ca, request);
  CPNS_TRY(const auto csr, read_private_file(o.csr, pem_max, readers::anybody));
  auto made = crypto::issue_for_key(ca, request, as_text(csr.expose()));
  if (!made) return fail(made.error().code, o.csr.string() + ": " + made.error().detail);
  return crypto::identity{std::move(*made), {}};
}

}  // namespace

status write_together(const std::vector<new_file>& files, bool replace,
                      const std::function<void(const fs::path&)>& placed) {
  std::vector<std::unique_ptr<placed_file>> all;
  for (const auto& file : files) all.push_back(std::make_unique<placed_file>(file, replace));
  for (const auto& file : all) CPNS_CHECK(file->check());
  for (const auto& file : all) CPNS_CHECK(file->write());
  for (std::size_t i = 0; i < all.size(); ++i) {
    CPNS_CHECK(all[i]->place());
    if (placed) placed(files[i].path);
  }
  for (const auto& file : files) {
    const auto folder = file.path.parent_path();
    if (const auto synced = storage::sync_folder(folder.empty() ? "." : folder); !synced)
      return fail(errc::config_file, synced.error().detail);
  }
  for (const auto& file : all) file->keep();
  return {};
}

result<open_ca> open_ca_in(const fs::path& folder, time_point now) {
  const auto refuse = [&](errc code, const std::string& why) {
    return fail(code, "the CA in " + folder.string() + ": " + why);
  };
  const auto advice = "; --ca names a folder with ca.pem and ca.key, such as tls/ of cpns init";
  const auto certificate = read_private_file(folder / "ca.pem", pem_max, readers::anybody);
  if (!certificate) return refuse(errc::config_file, certificate.error().detail + advice);
  auto key = read_private_file(folder / "ca.key", pem_max);
  if (!key) return refuse(errc::config_file, key.error().detail + advice);
  open_ca out{{std::string{as_text(certificate->expose())}, std::move(*key)}, {}};
  const auto dates = crypto::validity_of_ca(out.id);
  if (!dates) return refuse(dates.error().code, dates.error().detail + advice);
  out.dates = *dates;
  if (out.dates.to <= now)
    return refuse(errc::crypto_certificate, "it expired on " + utc_text(unix_seconds(out.dates.to)) +
                                                "; make a new one, for example with cpns init");
  if (out.dates.from > now)
    return refuse(errc::crypto_certificate,
                  "it is not valid before " + utc_text(unix_seconds(out.dates.from)) + "; check the clock");
  return out;
}

result<issued_files> issue_certificate(const issue_options& o, time_point now) {
  CPNS_CHECK(check_options(o));
  const auto folder = o.out.empty() ? o.ca : o.out;
  std::error_code missing;
  if (!o.out.empty() && !fs::is_directory(o.out, missing))
    return fail(errc::config_file, "--out " + o.out.string() + ": this is not a folder; make it first");
  CPNS_TRY(const auto ca, open_ca_in(o.ca, now));
  CPNS_TRY(const auto end, end_of(o, ca.dates, now));
  const auto request = request_of(o, ca, now, end);

  issued_files out{folder / (o.name + ".pem"), o.csr.empty() ? folder / (o.name + ".key") : fs::path{},
                   request.uris.front(), end};
  for (const auto& file : {out.certificate, out.key})
    if (!file.empty()) CPNS_CHECK(check_not_the_ca(file, o.ca));
  CPNS_TRY(const auto made, make_identity(o, ca.id, request));
  std::vector<new_file> files;
  if (!out.key.empty()) files.push_back({out.key, made.key_pem.expose(), 0600});
  files.push_back({out.certificate, as_bytes(made.certificate_pem), 0644});
  CPNS_CHECK(write_together(files, o.replace));
  return out;
}

}  // namespace cpns::cli
