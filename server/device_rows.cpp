#include "server/device_rows.hpp"

#include <unordered_map>
#include <utility>

#include "crypto/key_schedule.hpp"
#include "server/key_text.hpp"

namespace cpns::server {
namespace {

class collector final : public row_sink {
 public:
  void good(device_row row) override {
    const auto [it, fresh] = seen_.emplace(row.entity, row.line);
    if (fresh)
      rows.good.push_back(std::move(row));
    else
      rows.bad.push_back({row.line, row.entity.text(), listed_already(it->second)});
  }
  void bad(row_diagnostic row) override { rows.bad.push_back(std::move(row)); }
  device_rows rows;

 private:
  std::unordered_map<entity_id, std::size_t> seen_;
};

/// Wiped when it goes.
struct read_buffer {
  bytes part = bytes(4096);
  read_buffer() = default;
  read_buffer(const read_buffer&) = delete;
  read_buffer& operator=(const read_buffer&) = delete;
  ~read_buffer() { wipe(part); }
};

/// Calls `feed` with each part of `in`. Errors of both.
template <class Feed>
status read_parts(const byte_source& in, Feed feed) {
  read_buffer buffer;
  for (;;) {
    CPNS_TRY(const auto n, in(buffer.part));
    if (n == 0) return {};
    CPNS_CHECK(feed(byte_view{buffer.part}.first(n)));
  }
}

/// Line 1 of a file with a key; the others have to be blank.
class key_line {
 public:
  key_line() { text.reserve(device_line_max + 2); }
  ~key_line() { wipe(text); }
  key_line(const key_line&) = delete;
  key_line& operator=(const key_line&) = delete;

  status take(std::string_view line) {
    if (!begun_) {
      begun_ = true;
      text.append(line);
      return {};
    }
    if (line.find_first_not_of(" \t") == std::string_view::npos) return {};
    return fail(errc::config_syntax, "the file has a second line; a key is one line");
  }
  std::string text;

 private:
  bool begun_ = false;
};

status read_key_line(const private_file& file, key_line& to) {
  line_splitter lines;
  const line_splitter::taker take = [&to](std::string_view line) { return to.take(line); };
  auto done = read_parts([&file](std::span<std::uint8_t> part) { return file.read(part); },
                         [&](byte_view part) { return lines.feed(part, take); });
  if (done) done = lines.end(take);
  if (done) return {};
  if (done.error() == errc::config_range)
    return fail(errc::config_range, lines.number() == 1 ? "the line is too long for a key"
                                                        : "the file has a second line; a key is one line");
  return done;
}

}  // namespace

std::string listed_already(std::size_t first) {
  return "the device is in line " + std::to_string(first) + " already";
}

result<device_rows> read_device_rows(const byte_source& in, const std::string& name) {
  device_parser parser{device_rows_max};
  collector rows;
  const auto placed = [&](const status& done) -> status {
    if (done) return {};
    return fail(done.error().code, fault_in(name, parser.fault_line(), done.error().detail));
  };
  CPNS_CHECK(read_parts(in, [&](byte_view part) { return placed(parser.feed(part, rows)); }));
  CPNS_CHECK(placed(parser.end(rows)));
  return std::move(rows.rows);
}

result<device_rows> load_device_rows(const std::filesystem::path& file) {
  CPNS_TRY(const auto open, private_file::open(file));
  return read_device_rows([&open](std::span<std::uint8_t> to) { return open.read(to); }, open.name());
}

result<device_row> load_temporary_key(const std::filesystem::path& file, const entity_id& entity) {
  CPNS_TRY(const auto open, private_file::open(file));
  const auto at = file.string() + ": ";
  key_line line;
  if (const auto done = read_key_line(open, line); !done) {
    const auto& why = done.error();
    return fail(why.code, why == errc::config_file ? why.detail : at + why.detail);
  }
  std::string_view text = line.text;
  if (text.empty()) return fail(errc::config_syntax, at + "the first line is empty; it has to be the key");
  if (auto wrong = utf16_hint(as_bytes(text)); !wrong.empty()) return fail(errc::config_syntax, at + wrong);
  constexpr std::string_view word = " stretch";
  device_row row;
  row.line = 1;
  row.entity = entity;
  row.stretch = text.ends_with(word);
  if (row.stretch) text.remove_suffix(word.size());
  if (auto wrong = read_key_text(text, key_encoding::none, row.stretch, row.temporary_key); !wrong.empty())
    return fail(errc::config_range, at + wrong);
  return row;
}

secret32 kept_key(const crypto::suite& s, const entity_id& entity, byte_view temporary_key, bool stretch) {
  return stretch ? crypto::stretch_temporary_key(s, entity, temporary_key)
                 : crypto::derive_temporary_key(s, entity, temporary_key);
}
secret32 kept_key(const crypto::suite& s, const device_row& row) {
  return kept_key(s, row.entity, row.temporary_key.expose(), row.stretch);
}

}  // namespace cpns::server
