#include "storage/secret_file.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/cbor.hpp"
#include "crypto/xaes.hpp"
#include "storage/file.hpp"

namespace cpns::storage {

namespace {

constexpr std::uint64_t version = 1;
constexpr std::size_t max_wrapped_size = 256;
constexpr std::size_t max_raw_size = max_sealed_file_size + crypto::xaes_overhead + max_wrapped_size + 32;

bytes file_aad(std::string_view purpose) {
  return cbor::writer().array(3).tstr("cpns/1 file").tstr(purpose).uint(version).take();
}

struct parts {
  std::optional<bytes> wrapped;
  bytes sealed;
};

result<parts> parse_parts(byte_view in) {
  cbor::reader r(in);
  parts p;
  CPNS_CHECK(r.array_of("file", 3));
  CPNS_TRY(const auto v, r.uint("version"));
  if (v != version) return fail(errc::wire_range, "version " + std::to_string(v) + " is not known");
  CPNS_TRY(const bool none, r.null_next("wrapped data key"));
  if (!none) {
    CPNS_TRY(const auto wrapped, r.bstr("wrapped data key", 1, max_wrapped_size));
    p.wrapped = to_bytes(wrapped);
  }
  CPNS_TRY(const auto sealed,
           r.bstr("content", crypto::xaes_overhead, max_sealed_file_size + crypto::xaes_overhead));
  p.sealed = to_bytes(sealed);
  CPNS_CHECK(r.end("file"));
  return p;
}

bytes file_of(const std::optional<bytes>& wrapped, byte_view sealed) {
  cbor::writer w;
  w.array(3).uint(version);
  if (wrapped)
    w.bstr(*wrapped);
  else
    w.null();
  return w.bstr(sealed).take();
}

error shared_key(const std::filesystem::path& path) {
  return {errc::store_key,
          path.string() + " is sealed under a data key shared with other files, not under one of its own"};
}

/// nullopt if the file does not exist.
result<std::optional<bytes>> read_file(const std::filesystem::path& path) {
  const descriptor fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid() && errno == ENOENT) return std::optional<bytes>{};
  if (!fd.valid()) return fail(file_error(errno, errc::store_unavailable, "cannot open", path));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0)
    return fail(file_error(errno, errc::store_unavailable, "cannot read the attributes of", path));
  if (!S_ISREG(info.st_mode)) return fail(errc::store_damaged, path.string() + " is not a regular file");
  CPNS_TRY(auto content, read_all(fd.get(), max_raw_size, errc::store_damaged, path));
  return std::optional<bytes>(std::move(content));
}

result<std::optional<parts>> read_parts(const std::filesystem::path& path) {
  CPNS_TRY(const auto raw, read_file(path));
  if (!raw) return std::optional<parts>{};
  auto p = parse_parts(*raw);
  if (!p)
    return fail(errc::store_damaged, path.string() + " is not a sealed file: " + p.error().message() +
                                         "; restore it from a backup");
  return std::optional<parts>(std::move(*p));
}

}  // namespace

sealed_file::sealed_file(std::filesystem::path path, std::string purpose, std::optional<bytes> wrapped,
                         const secret32& key, entropy& random)
    : path_(std::move(path)), purpose_(std::move(purpose)), wrapping_(std::make_shared<wrapping>()),
      key_(key), random_(&random) {
  wrapping_->wrapped = std::move(wrapped);
}

result<sealed_file> sealed_file::open(std::filesystem::path path, std::string purpose,
                                      const key_protector& protector, entropy& random) {
  CPNS_TRY(const auto there, read_parts(path));
  if (!there) {
    const auto key = random.draw_secret<secret32::size>();
    CPNS_TRY(auto wrapped, protector.wrap(key, purpose, random));
    return sealed_file(std::move(path), std::move(purpose), std::move(wrapped), key, random);
  }
  if (!there->wrapped) return fail(shared_key(path));
  auto key = protector.unwrap(*there->wrapped, purpose);
  if (!key) return fail(key.error().code, path.string() + ": " + key.error().detail);
  return sealed_file(std::move(path), std::move(purpose), there->wrapped, *key, random);
}

sealed_file sealed_file::with_data_key(std::filesystem::path path, std::string purpose,
                                       const secret32& data_key, entropy& random) {
  return {std::move(path), std::move(purpose), std::nullopt, data_key, random};
}

result<std::optional<secret_bytes>> sealed_file::load() const {
  CPNS_TRY(const auto there, read_parts(path_));
  if (!there) return std::optional<secret_bytes>{};
  auto content = crypto::xaes_open(key_, file_aad(purpose_), there->sealed);
  if (!content)
    return fail(errc::store_sealed, path_.string() + " cannot be decrypted as \"" + purpose_ +
                                        "\": it was changed, has another purpose, or is under another key; "
                                        "restore it from a backup");
  return std::optional<secret_bytes>(std::move(*content));
}

status sealed_file::save(byte_view content) {
  if (content.size() > max_sealed_file_size)
    return fail(errc::store_write_failed, "the content for " + path_.string() + " has " +
                                              std::to_string(content.size()) + " bytes; the limit is " +
                                              std::to_string(max_sealed_file_size));
  const auto sealed = crypto::xaes_seal(key_, *random_, file_aad(purpose_), content);
  const std::lock_guard lock(wrapping_->guard);
  return replace_file(path_, file_of(wrapping_->wrapped, sealed), if_exists::replace);
}

key_place sealed_file::place() const {
  auto out = sealed_file_place(path_, purpose_);
  const auto missing = [path = path_] {
    std::error_code ec;
    return !std::filesystem::exists(std::filesystem::symlink_status(path, ec));
  };
  out.read = [shared = wrapping_, missing, on_disk = out.read]() -> result<std::optional<bytes>> {
    const std::lock_guard lock(shared->guard);
    if (missing()) return shared->wrapped;
    return on_disk();
  };
  out.write = [shared = wrapping_, missing, on_disk = out.write](const bytes& wrapped) -> status {
    const std::lock_guard lock(shared->guard);
    if (!missing()) CPNS_CHECK(on_disk(wrapped));
    shared->wrapped = wrapped;
    return {};
  };
  return out;
}

result<secret32> open_data_key(const std::filesystem::path& path, std::string_view purpose,
                               const key_protector& protector, entropy& random) {
  CPNS_TRY(const auto there, read_file(path));
  if (!there) {
    const auto key = random.draw_secret<secret32::size>();
    CPNS_TRY(const auto wrapped, protector.wrap(key, purpose, random));
    CPNS_CHECK(replace_file(path, wrapped, if_exists::refuse));
    return key;
  }
  auto key = protector.unwrap(*there, purpose);
  if (!key) return fail(key.error().code, path.string() + ": " + key.error().detail);
  return key;
}

key_place data_key_file_place(const std::filesystem::path& path, std::string purpose) {
  return {path.string(), std::move(purpose), [path] { return read_file(path); },
          [path](const bytes& wrapped) { return replace_file(path, wrapped, if_exists::replace); }};
}

key_place sealed_file_place(const std::filesystem::path& path, std::string purpose) {
  const auto read = [path]() -> result<std::optional<bytes>> {
    CPNS_TRY(auto there, read_parts(path));
    if (!there) return std::optional<bytes>{};
    if (!there->wrapped) return fail(shared_key(path));
    return std::move(there->wrapped);
  };
  const auto write = [path](const bytes& wrapped) -> status {
    CPNS_TRY(const auto there, read_parts(path));
    if (!there) return fail(errc::store_damaged, path.string() + " was removed meanwhile");
    return replace_file(path, file_of(wrapped, there->sealed), if_exists::replace);
  };
  return {path.string(), std::move(purpose), read, write};
}

}  // namespace cpns::storage
