#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cbor.hpp"
#include "crypto/xaes.hpp"
#include "storage/export_file.hpp"
#include "storage/export_format.hpp"

namespace cpns::storage {

namespace {

/// False: no table has this number in this release.
bool is_table(std::uint64_t number) {
  for (const auto t : all_tables)
    if (static_cast<std::uint64_t>(t) == number) return true;
  return false;
}

result<table> read_table(cbor::reader& r) {
  CPNS_TRY(const auto number, r.uint("table"));
  if (!is_table(number))
    return fail(errc::wire_range, "this release has no table " + std::to_string(number) +
                                      "; import the file with the release that made it, or a later one");
  return static_cast<table>(number);
}

result<exported_row> read_row(cbor::reader& r) {
  exported_row out;
  CPNS_CHECK(r.array_of("row", 3));
  CPNS_TRY(out.table, read_table(r));
  CPNS_TRY(const auto name, r.bstr("name of a row", 1, max_row_size));
  out.row = to_bytes(name);
  CPNS_TRY(const auto value, r.bstr("value of a row", 0, max_value_size));
  out.value = secret_bytes(value);
  return out;
}

}  // namespace

tl::unexpected<error> export_reader::wrong(const std::string& what) const {
  return fail(errc::config_file, open_.name() + ": " + what);
}

status export_reader::read_exactly(std::span<std::uint8_t> to) {
  while (!to.empty()) {
    CPNS_TRY(const auto n, open_.read(to));
    if (n == 0) return wrong("the file ends too early: it was cut; copy it again");
    position_ += n;
    to = to.subspan(n);
  }
  return {};
}

result<bytes> export_reader::read_frame(std::size_t max) {
  byte_array<export_format::length_bytes> head{};
  CPNS_CHECK(read_exactly(head));
  const auto size = export_format::decode_length(head);
  if (size > max) return wrong("it was changed at byte " + std::to_string(position_) + "; copy it again");
  if (size > size_ - std::min(size_, position_))
    return wrong("the file ends too early: it was cut; copy it again");
  bytes out(size);
  CPNS_CHECK(read_exactly(out));
  return out;
}

result<std::unique_ptr<export_reader>> export_reader::open(const std::filesystem::path& file,
                                                           const key_protector& protector) {
  CPNS_TRY(auto out, open_with_header(file));
  CPNS_CHECK(out->open_key(protector));
  return out;
}

result<export_header> export_reader::header_of(const std::filesystem::path& file) {
  CPNS_TRY(const auto opened, open_with_header(file));
  return opened->header_;
}

result<std::unique_ptr<export_reader>> export_reader::open_with_header(const std::filesystem::path& file) {
  // Sealed, so its readers do not matter.
  CPNS_TRY(auto opened, private_file::open(file, pipes::refuse, readers::anybody));
  std::unique_ptr<export_reader> out(new export_reader(std::move(opened)));
  struct stat about {};
  if (::fstat(out->open_.fd(), &about) != 0) return out->wrong(std::strerror(errno));
  out->size_ = static_cast<std::uint64_t>(about.st_size);
  CPNS_CHECK(out->read_header());
  return out;
}

status export_reader::read_header() {
  bytes begin(export_format::magic.size());
  const auto read = read_exactly(begin);
  if (!read || as_text(begin) != export_format::magic)
    return wrong("this is not a file of `cpns store export`");
  CPNS_TRY(const auto header, read_frame(export_format::header_max));
  cbor::reader r(header);
  const auto damaged = [this] { return wrong("the header of the file is damaged; copy it again"); };
  const auto members = r.array("header", 1, 64);
  const auto format = members ? r.uint("format") : fail(members.error());
  if (!format) return damaged();
  if (*format > export_format_version)
    return wrong("it has format " + std::to_string(*format) + ", and this release reads format " +
                 std::to_string(export_format_version) + "; use the release that made it, or a later one");
  const auto id = *members == 4 ? r.bstr_of<16>("file id") : fail(errc::wire_length);
  const auto made = id ? r.uint("time", INT32_MAX * std::uint64_t{4}) : fail(id.error());
  const auto wrapped = made ? r.bstr("wrapped key", 1, export_format::header_max) : fail(made.error());
  if (*format != export_format_version || !wrapped || !r.end("header")) return damaged();
  header_ = {*id, time_point(seconds(*made)), to_bytes(*wrapped)};
  header_digest_ = export_format::digest_of(header);
  first_chunk_ = position_;
  return {};
}

status export_reader::open_key(const key_protector& protector) {
  auto key = protector.unwrap(header_.wrapped_key, export_format::key_purpose);
  if (!key)
    return fail(errc::store_key,
                open_.name() + " does not open with " + protector.describe() +
                    ": it was sealed for another one, or changed. Name the passphrase of the export with "
                    "--passphrase-file, or a configuration whose 'protector' is that of the export");
  key_ = *key;
  return {};
}

status export_reader::rewind() {
  if (::lseek(open_.fd(), static_cast<off_t>(first_chunk_), SEEK_SET) < 0) return wrong(std::strerror(errno));
  position_ = first_chunk_;
  frames_ = 0;
  counts_.clear();
  return {};
}

result<std::optional<std::vector<exported_row>>> export_reader::next() {
  CPNS_TRY(const auto sealed, read_frame(export_format::frame_max));
  const auto plain = crypto::xaes_open(key_, export_format::aad_of(header_digest_, frames_ + 1), sealed);
  if (!plain)
    return wrong("part " + std::to_string(frames_ + 1) + ", which ends at byte " + std::to_string(position_) +
                 ", was changed or is not in its place; copy the file again");
  ++frames_;
  cbor::reader r(plain->expose());
  CPNS_CHECK(r.array_of("part of an export", 2));
  CPNS_TRY(const auto kind, r.uint("kind"));
  if (kind == static_cast<std::uint64_t>(export_format::frame_kind::end)) {
    CPNS_CHECK(check_end(plain->expose()));
    return std::optional<std::vector<exported_row>>{};
  }
  auto rows = rows_of(plain->expose());
  if (!rows)
    return wrong("part " + std::to_string(frames_) +
                 " holds something else than rows: " + rows.error().message());
  return std::optional(std::move(*rows));
}

result<std::vector<exported_row>> export_reader::rows_of(byte_view plain) {
  cbor::reader r(plain);
  CPNS_CHECK(r.array_of("part of an export", 2));
  const auto rows = static_cast<std::uint64_t>(export_format::frame_kind::rows);
  CPNS_TRY(const auto kind, r.uint("kind"));
  if (kind != rows) return fail(errc::wire_range, "kind " + std::to_string(kind) + " is not known");
  CPNS_TRY(const auto n, r.array("rows", 1, export_chunk_rows));
  std::vector<exported_row> out;
  out.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    CPNS_TRY(auto row, read_row(r));
    ++counts_[row.table];
    out.push_back(std::move(row));
  }
  CPNS_CHECK(r.end("part of an export"));
  return out;
}

status export_reader::check_end(byte_view plain) {
  cbor::reader r(plain);
  CPNS_CHECK(r.array_of("end of an export", 2));
  CPNS_CHECK(r.uint("kind"));
  CPNS_TRY(const auto n, r.array("counts", 0, std::size(all_tables)));
  row_counts said;
  for (std::size_t i = 0; i < n; ++i) {
    CPNS_CHECK(r.array_of("count", 2));
    CPNS_TRY(const auto t, read_table(r));
    CPNS_TRY(said[t], r.uint("rows"));
  }
  CPNS_CHECK(r.end("end of an export"));
  if (said != counts_) return wrong("it has another number of rows than its end says");
  if (position_ != size_) return wrong("bytes follow its end; copy it again");
  return {};
}

}  // namespace cpns::storage
