#include "cli/revoking.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/descriptor.hpp"
#include "base/private_file.hpp"
#include "base/text.hpp"
#include "cli/issuing.hpp"
#include "config/values.hpp"

namespace cpns::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t crl_file_max = 16 << 20;
constexpr std::size_t certificate_file_max = 64 * 1024;
constexpr std::size_t serial_digits_max = 40;
constexpr unsigned crl_days_max = 3650;

status check_revocation(const revoke_options& o) {
  const auto named = static_cast<int>(!o.name.empty()) + static_cast<int>(!o.certificate.empty()) +
                     static_cast<int>(!o.serial.empty());
  if (named > 1) return fail(errc::config_usage, "name one certificate: NAME, --certificate or --serial");
  if (!o.name.empty())
    if (const auto wrong = config::wrong_name(o.name); !wrong.empty())
      return fail(errc::config_usage, "NAME: " + wrong);
  if (o.days && (*o.days == 0 || *o.days > crl_days_max))
    return fail(errc::config_usage, "--days: 1 to " + std::to_string(crl_days_max));
  return {};
}

/// "4f:2a", "0x4F2A" and "004F2A" are one number.
result<std::string> plain_serial(std::string_view text) {
  std::string digits;
  const auto body = text.starts_with("0x") || text.starts_with("0X") ? text.substr(2) : text;
  for (const char c : body) {
    if (c == ':') continue;
    digits += c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  if (digits.size() % 2 != 0) digits.insert(0, 1, '0');
  while (digits.size() > 2 && digits.starts_with("00")) digits.erase(0, 2);
  if (digits.empty() || digits.size() > serial_digits_max || !from_hex(digits))
    return fail(errc::config_usage,
                "--serial: " + shown(text) +
                    " is not a serial number of at most 40 hexadecimal digits; openssl x509 "
                    "-in FILE -noout -serial prints that of a certificate");
  return digits;
}

/// Two calls at a time would lose the entry of one.
result<descriptor> lock_ca(const fs::path& folder) {
  const auto key = folder / "ca.key";
  descriptor held(::open(key.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!held.valid()) return fail(errc::config_file, key.string() + ": " + std::strerror(errno));
  if (::flock(held.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(errc::state_conflict,
                folder.string() + ": another cpns ca revoke is running; repeat the command");
  return held;
}

result<crypto::crl_file> lists_in(const fs::path& file, const crypto::identity& ca) {
  std::error_code ec;
  if (!fs::exists(fs::symlink_status(file, ec))) return crypto::crl_file{};
  CPNS_TRY(const auto content, read_private_file(file, crl_file_max, readers::anybody));
  auto lists = crypto::read_crls(ca, as_text(content.expose()));
  if (!lists)
    return fail(lists.error().code,
                file.string() + ": " + lists.error().detail + "; move the file away, or restore it");
  return lists;
}

/// The serial number and, if the certificate itself is there, its name.
result<crypto::issued_certificate> certificate_to_revoke(const revoke_options& o,
                                                         const crypto::identity& ca) {
  if (!o.serial.empty()) {
    CPNS_TRY(auto serial, plain_serial(o.serial));
    return crypto::issued_certificate{std::move(serial), {}, {}};
  }
  const auto file = o.certificate.empty() ? o.ca / (o.name + ".pem") : o.certificate;
  const auto content = read_private_file(file, certificate_file_max, readers::anybody);
  if (!content)
    return fail(content.error().code, content.error().detail +
                                          "; --certificate names another file, and --serial "
                                          "revokes a certificate whose file is gone");
  auto found = crypto::certificate_of(ca, as_text(content->expose()));
  if (!found) return fail(found.error().code, file.string() + ": " + found.error().detail);
  std::error_code missing;
  if (fs::equivalent(file, o.ca / "ca.pem", missing))
    return fail(errc::config_usage,
                file.string() + " is the CA itself, which cannot be revoked; make a new CA");
  return found;
}

}  // namespace

result<revoke_outcome> revoke_certificate(const revoke_options& o, time_point now) {
  CPNS_CHECK(check_revocation(o));
  CPNS_TRY(const auto lock, lock_ca(o.ca));
  CPNS_TRY(const auto ca, open_ca_in(o.ca, now));
  revoke_outcome out;
  out.crl = o.ca / "ca.crl";
  CPNS_TRY(auto in_file, lists_in(out.crl, ca.id));
  auto& list = in_file.own;
  if (!o.name.empty() || !o.certificate.empty() || !o.serial.empty()) {
    CPNS_TRY(auto found, certificate_to_revoke(o, ca.id));
    out.already = std::any_of(list.revoked.begin(), list.revoked.end(),
                              [&found](const auto& r) { return r.serial == found.serial; });
    if (!out.already) list.revoked.push_back({found.serial, now});
    out.serial = std::move(found.serial);
    out.name = std::move(found.name);
  }
  ++list.number;
  list.from = now;
  list.to = std::min(ca.dates.to, now + std::chrono::days{o.days.value_or(crl_days)});
  CPNS_TRY(const auto pem, crypto::make_crl(ca.id, list));
  const auto content = pem + in_file.others;  // the roles read all lists of the file
  CPNS_CHECK(write_together({{out.crl, as_bytes(content), 0644}}, true));
  out.others = in_file.count;
  out.revoked = list.revoked.size();
  out.to = list.to;
  return out;
}

result<std::string> empty_crl(const crypto::identity& ca, time_point now) {
  CPNS_TRY(const auto dates, crypto::validity_of_ca(ca));
  return crypto::make_crl(ca, {1, now, dates.to, {}});
}

}  // namespace cpns::cli
