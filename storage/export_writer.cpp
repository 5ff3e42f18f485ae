#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cbor.hpp"
#include "crypto/suite.hpp"
#include "crypto/xaes.hpp"
#include "storage/export_file.hpp"
#include "storage/export_format.hpp"

namespace cpns::storage {

namespace export_format {

bytes encode(const export_header& h) {
  cbor::writer w(256);
  w.array(4).uint(export_format_version).bstr(h.id);
  w.uint(static_cast<std::uint64_t>(std::chrono::duration_cast<seconds>(h.made.time_since_epoch()).count()));
  return w.bstr(h.wrapped_key).take();
}

bytes digest_of(byte_view header) { return to_bytes(crypto::openssl_suite().sha256(header)); }

bytes aad_of(const bytes& header_digest, std::uint64_t frame) {
  return cbor::writer().array(3).tstr(key_purpose).bstr(header_digest).uint(frame).take();
}

secret_bytes encode(const std::vector<exported_row>& rows, std::size_t size) {
  constexpr std::size_t heads = 16;
  cbor::writer w(heads + size + rows.size() * heads);
  w.array(2).uint(static_cast<std::uint64_t>(frame_kind::rows)).array(rows.size());
  for (const auto& r : rows)
    w.array(3).uint(static_cast<std::uint64_t>(r.table)).bstr(r.row).bstr(r.value.expose());
  return secret_bytes(w.take());
}

secret_bytes encode(const row_counts& counts) {
  cbor::writer w(256);
  w.array(2).uint(static_cast<std::uint64_t>(frame_kind::end)).array(counts.size());
  for (const auto& [t, n] : counts) w.array(2).uint(static_cast<std::uint64_t>(t)).uint(n);
  return secret_bytes(w.take());
}

}  // namespace export_format

namespace {

bool name_is_taken(const std::filesystem::path& file) {
  std::error_code ec;
  return std::filesystem::exists(std::filesystem::symlink_status(file, ec));
}

/// False: another process has renamed the file since it was opened.
bool has_name(const descriptor& opened, const std::filesystem::path& path) {
  struct stat file {
  }, named{};
  return ::fstat(opened.get(), &file) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         file.st_ino == named.st_ino && file.st_dev == named.st_dev;
}

/// Not an error of a store: nobody has to look for the change later.
error cannot(std::string_view what, const std::filesystem::path& file) {
  return {errc::config_file, file_error(errno, errc::config_file, what, file).detail};
}
/// The name may be taken by the part that a killed export of another user left, or by something else.
error cannot_create(const std::filesystem::path& file) {
  auto out = cannot("cannot create", file);
  if (name_is_taken(file))
    out.detail += "; there is one that cannot be replaced: remove it, or name another FILE";
  return out;
}
status write_to(const descriptor& open, byte_view content, const std::filesystem::path& file) {
  auto done = write_all(open.get(), content, file);
  return done ? std::move(done) : fail(errc::config_file, std::move(done).error().detail);
}

tl::unexpected<error> already(const std::filesystem::path& file) {
  return fail(errc::state_exists, file.string() + "; name another file, or replace it with --force");
}

}  // namespace

std::filesystem::path export_part(std::filesystem::path file) {
  file += ".creating";
  return file;
}

export_writer::export_writer(std::filesystem::path file, if_exists rule, const secret32& key, entropy& random)
    : file_(std::move(file)), temporary_(export_part(file_)), rule_(rule), key_(key), random_(random) {}

export_writer::~export_writer() {
  if (open_.valid() && !finished_) ::unlink(temporary_.c_str());
}

result<std::unique_ptr<export_writer>> export_writer::begin(std::filesystem::path file, if_exists rule,
                                                            const key_protector& protector, time_point now,
                                                            entropy& random) {
  if (rule == if_exists::refuse && name_is_taken(file)) return already(file);
  const auto key = random.draw_secret<secret32::size>();
  std::unique_ptr<export_writer> out(new export_writer(std::move(file), rule, key, random));
  auto& h = out->header_;
  h.id = random.draw<16>();
  h.made = now;
  CPNS_TRY(h.wrapped_key, protector.wrap(key, export_format::key_purpose, random));
  const auto& path = out->temporary_;
  // A crash may have left one behind. A process that still writes it has it locked.
  descriptor opened(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!opened.valid()) return fail(cannot_create(path));
  CPNS_CHECK(lock_against_others(opened, path));
  if (!has_name(opened, path))
    return fail(errc::store_locked, path.string() + ": another export just finished it");
  out->open_ = std::move(opened);
  if (::ftruncate(out->open_.get(), 0) != 0 || ::fchmod(out->open_.get(), 0600) != 0)
    return fail(cannot("cannot write", path));
  CPNS_CHECK(write_to(out->open_, as_bytes(export_format::magic), path));
  const auto header = export_format::encode(h);
  out->header_digest_ = export_format::digest_of(header);
  CPNS_CHECK(out->write_frame(header));
  return out;
}

status export_writer::write_frame(byte_view content) {
  CPNS_CHECK(write_to(open_, export_format::encode_length(content.size()), temporary_));
  return write_to(open_, content, temporary_);
}

status export_writer::write_sealed(byte_view plain) {
  return write_frame(
      crypto::xaes_seal(key_, random_, export_format::aad_of(header_digest_, ++frames_), plain));
}

status export_writer::write_chunk() {
  if (chunk_.empty()) return {};
  const auto plain = export_format::encode(chunk_, chunk_bytes_);
  chunk_.clear();
  chunk_bytes_ = 0;
  return write_sealed(plain.expose());
}

status export_writer::add(exported_row row) {
  ++counts_[row.table];
  chunk_bytes_ += row.row.size() + row.value.size();
  chunk_.push_back(std::move(row));
  return chunk_.size() >= export_chunk_rows || chunk_bytes_ >= export_chunk_bytes ? write_chunk() : status{};
}

status export_writer::finish() {
  CPNS_CHECK(write_chunk());
  CPNS_CHECK(write_sealed(export_format::encode(counts_).expose()));
  if (::fsync(open_.get()) != 0) return fail(cannot("cannot sync", temporary_));
  const unsigned flags = rule_ == if_exists::refuse ? RENAME_NOREPLACE : 0U;
  if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, file_.c_str(), flags) != 0) {
    if (errno == EEXIST) return already(file_);
    return fail(cannot("cannot rename to", file_));
  }
  finished_ = true;
  const auto folder = file_.parent_path();
  return sync_folder(folder.empty() ? "." : folder);
}

}  // namespace cpns::storage
