#include "storage/key_protector.hpp"

#include <map>
#include <mutex>

#include "base/cbor.hpp"
#include "base/private_file.hpp"
#include "crypto/suite.hpp"
#include "crypto/xaes.hpp"
#include "storage/file.hpp"

namespace cpns::storage {

namespace {

constexpr std::uint64_t wrapping_version = 1;
constexpr std::size_t salt_size = 16;
constexpr std::size_t sealed_key_size = secret32::size + crypto::xaes_overhead;
constexpr std::size_t key_digits = secret32::size * 2;
using salt_t = byte_array<salt_size>;

bytes purpose_aad(std::string_view purpose, protector_kind kind, const std::optional<salt_t>& salt) {
  cbor::writer w;
  w.array(5).tstr("cpns/1 data key").tstr(purpose).uint(static_cast<std::uint64_t>(kind));
  if (salt)
    w.bstr(*salt).uint(passphrase_iterations);
  else
    w.null().null();
  return w.take();
}

bytes wrap_under(const secret32& kek, const secret32& data_key, std::string_view purpose, protector_kind kind,
                 const std::optional<salt_t>& salt, entropy& random) {
  const auto sealed = crypto::xaes_seal(kek, random, purpose_aad(purpose, kind, salt), data_key.expose());
  cbor::writer w;
  w.array(5).uint(wrapping_version).uint(static_cast<std::uint64_t>(kind));
  if (salt)
    w.bstr(*salt).uint(passphrase_iterations);
  else
    w.null().null();
  w.bstr(sealed);
  return w.take();
}

struct wrapping {
  std::uint64_t kind = 0;
  std::optional<salt_t> salt;
  std::optional<std::uint64_t> iterations;
  byte_view sealed;
};

result<wrapping> parse_wrapping(byte_view in) {
  cbor::reader r(in);
  wrapping w;
  CPNS_CHECK(r.array_of("wrapped key", 5));
  CPNS_TRY(const auto version, r.uint("version"));
  if (version != wrapping_version)
    return fail(errc::wire_range, "version " + std::to_string(version) + " is not known");
  CPNS_TRY(w.kind, r.uint("kind"));
  CPNS_TRY(w.salt, r.bstr_or_null<salt_size>("salt"));
  CPNS_TRY(w.iterations, r.uint_or_null("iterations"));
  CPNS_TRY(w.sealed, r.bstr("sealed key", sealed_key_size, sealed_key_size));
  CPNS_CHECK(r.end("wrapped key"));
  return w;
}

/// Parses a wrapping; store_key if it is not of this kind.
result<wrapping> parse_for(byte_view in, protector_kind kind, const std::string& source) {
  auto w = parse_wrapping(in);
  if (!w) return fail(errc::store_key, "the wrapped data key is damaged: " + w.error().message());
  if (w->kind != static_cast<std::uint64_t>(kind))
    return fail(errc::store_key, "the data key is wrapped by a protector of kind '" +
                                     std::string(name_of(static_cast<protector_kind>(w->kind))) +
                                     "', not by " + source + "; configure the protector that created it");
  const bool salted = kind == protector_kind::passphrase;
  // Any other count is refused: this program writes only this one, and a huge one would block the start.
  if (w->salt.has_value() != salted || w->iterations.has_value() != salted ||
      (salted && *w->iterations != passphrase_iterations))
    return fail(errc::store_key,
                "the wrapped data key is damaged: its salt or iterations do not fit its kind");
  return w;
}

result<secret32> unwrap_under(const secret32& kek, const wrapping& w, std::string_view purpose,
                              protector_kind kind, const std::string& source) {
  const auto plain = crypto::xaes_open(kek, purpose_aad(purpose, kind, w.salt), w.sealed);
  if (!plain)
    return fail(errc::store_key,
                source + " cannot unwrap the data key of \"" + std::string(purpose) +
                    "\": it is the wrong key (after `cpns store rewrap`: the old one), or the wrapped data "
                    "key was changed; configure the protector that wrapped it");
  return secret32(plain->expose().first<secret32::size>());
}

class file_protector final : public key_protector {
 public:
  file_protector(std::filesystem::path path, const secret32& kek) : path_(std::move(path)), kek_(kek) {}

  result<bytes> wrap(const secret32& data_key, std::string_view purpose, entropy& random) const override {
    return wrap_under(kek_, data_key, purpose, protector_kind::file, std::nullopt, random);
  }
  result<secret32> unwrap(byte_view wrapped, std::string_view purpose) const override {
    CPNS_TRY(const auto w, parse_for(wrapped, protector_kind::file, describe()));
    return unwrap_under(kek_, w, purpose, protector_kind::file, describe());
  }
  std::string describe() const override { return "the key file " + path_.string(); }

 private:
  std::filesystem::path path_;
  secret32 kek_;
};

class passphrase_protector final : public key_protector {
 public:
  explicit passphrase_protector(secret_bytes passphrase) : passphrase_(std::move(passphrase)) {}

  result<bytes> wrap(const secret32& data_key, std::string_view purpose, entropy& random) const override {
    // One salt for all wrappings of this object, so that many files cost only one PBKDF2.
    const std::lock_guard lock(mutex_);
    if (!salt_) salt_ = random.draw<salt_size>();
    return wrap_under(kek(*salt_), data_key, purpose, protector_kind::passphrase, salt_, random);
  }
  result<secret32> unwrap(byte_view wrapped, std::string_view purpose) const override {
    CPNS_TRY(const auto w, parse_for(wrapped, protector_kind::passphrase, describe()));
    const std::lock_guard lock(mutex_);
    auto data_key = unwrap_under(kek(*w.salt), w, purpose, protector_kind::passphrase, describe());
    // A salt that unwrapped a key is reused for wrapping; any other is forgotten.
    if (!data_key)
      keys_.erase(*w.salt);
    else if (!salt_)
      salt_ = w.salt;
    return data_key;
  }
  std::string describe() const override { return "the passphrase"; }

 private:
  const secret32& kek(const salt_t& salt) const {
    const auto known = keys_.find(salt);
    if (known != keys_.end()) return known->second;
    return keys_
        .emplace(salt, crypto::openssl_suite().pbkdf2(passphrase_.expose(), salt, passphrase_iterations))
        .first->second;
  }

  secret_bytes passphrase_;
  mutable std::mutex mutex_;
  mutable std::map<salt_t, secret32> keys_;
  mutable std::optional<salt_t> salt_;
};

}  // namespace

std::string_view name_of(protector_kind kind) {
  switch (kind) {
  case protector_kind::file: return "file";
  case protector_kind::passphrase: return "passphrase";
  }
  return "unknown";
}

status create_key_file(const std::filesystem::path& path, entropy& random) {
  auto text = to_hex(random.draw_secret<secret32::size>().expose()) + "\n";
  auto made = replace_file(path, as_bytes(text), if_exists::refuse);
  wipe(text);
  if (made || made.error() == errc::state_exists || made.error() == errc::store_full) return made;
  return fail(errc::config_file, "cannot create the key file: " + made.error().detail);
}

result<std::unique_ptr<key_protector>> open_key_file(const std::filesystem::path& path) {
  const auto refuse = [&](const std::string& what) {
    return fail(errc::store_key, "the key file " + path.string() + " " + what);
  };
  auto content = read_private_file(path, key_digits + 2);
  if (!content) return fail(errc::store_key, "the key file " + content.error().detail);
  auto digits = as_text(content->expose());
  while (!digits.empty() && (digits.back() == '\n' || digits.back() == '\r')) digits.remove_suffix(1);
  auto raw = digits.size() == key_digits ? from_hex(digits) : std::nullopt;
  if (!raw) return refuse("does not hold 64 hexadecimal digits");
  const secret32 kek(byte_view(*raw).first<secret32::size>());
  wipe(*raw);
  return std::make_unique<file_protector>(path, kek);
}

std::unique_ptr<key_protector> make_key_protector(const secret32& key, std::filesystem::path source) {
  return std::make_unique<file_protector>(std::move(source), key);
}

result<std::unique_ptr<key_protector>> make_passphrase_protector(secret_bytes passphrase) {
  if (passphrase.empty()) return fail(errc::store_key, "the passphrase is empty");
  return std::make_unique<passphrase_protector>(std::move(passphrase));
}

}  // namespace cpns::storage
