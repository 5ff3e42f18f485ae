#pragma once
// Reads a list of manufactured devices in parts: bytes in, rows out. A list may have millions of rows and may come over
// a connection that breaks off, so the parser keeps one line at most, and its place can be stored and taken up again.
//
// CSV (RFC 4180, column names in the first line) or JSON Lines (one object per line), UTF-8, with or without a byte
// order mark, LF or CRLF.
//
//   entity_id      the Entity ID
//   temporary_key  the key, in the form of server/key_text.hpp
//   strength       128bit: at least 16 random bytes, as the manufacturer declares; stretch: a weaker passphrase
//   owner          optional: the CPNS User ID that owns the device from the start
//   encoding       optional: hex, base64 or text, for a temporary_key without such a prefix

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace cpns::server {

inline constexpr std::size_t device_line_max = 4096;  ///< bytes of one line

struct device_row {
  std::size_t line = 0;  ///< counted from 1
  entity_id entity;
  secret_bytes temporary_key;  ///< TK as the manufacturer set it
  bool stretch = false;
  std::optional<user_id> owner;
};

/// The error of one row. It quotes no cell, because in a list with swapped columns any of them may be a key; `entity` is an
/// Entity ID.
struct row_diagnostic {
  std::size_t line = 0;
  std::string entity;  ///< empty if it could not be read
  std::string text;
  /// "FILE:LINE: ENTITY: TEXT"
  [[nodiscard]] std::string in(const std::string& file) const {
    return file + ":" + std::to_string(line) + ": " + (entity.empty() ? "" : entity + ": ") + text;
  }
};

/// "FILE:LINE: TEXT", for the error of a list as a whole; "FILE: TEXT" for line 0.
std::string fault_in(const std::string& name, std::size_t line, const std::string& text);

/// Takes the rows of a list in their order.
class row_sink {
 public:
  virtual ~row_sink() = default;
  virtual void good(device_row row) = 0;
  virtual void bad(row_diagnostic row) = 0;
};

/// Cuts a text that comes in parts into lines of at most device_line_max bytes. Keeps no more than one line, which it
/// wipes. Not thread-safe.
class line_splitter {
 public:
  /// Called for a line without its line end and without a byte order mark; the view is valid during the call.
  using taker = std::function<status(std::string_view line)>;

  line_splitter() { rest_.reserve(device_line_max + 2); }
  /// Goes on after `lines` lines, with the beginning of the next one.
  line_splitter(std::size_t lines, byte_view rest);
  ~line_splitter() { wipe(rest_); }
  line_splitter(const line_splitter&) = delete;
  line_splitter& operator=(const line_splitter&) = delete;

  /// config_range: a line is too long. Errors of `take`. After an error number() is its line.
  status feed(byte_view part, const taker& take);
  /// Passes a last line without a line end.
  status end(const taker& take);
  /// Of the last line that was passed, or that is too long.
  [[nodiscard]] std::size_t number() const { return number_; }
  [[nodiscard]] byte_view rest() const { return as_bytes(rest_); }

 private:
  status pass(std::string_view line, const taker& take);
  status too_long();
  std::string rest_;
  std::size_t number_ = 0;
};

/// Not thread-safe.
class device_parser {
 public:
  enum class form : std::uint8_t { unknown, csv, json_lines };
  /// Where the parser stands between two parts.
  struct place {
    std::uint64_t lines = 0;  ///< complete ones
    std::uint64_t rows = 0;   ///< good and bad ones
    device_parser::form form{};
    std::vector<std::uint8_t> columns;  ///< of CSV, in the order of the first line
    secret_bytes rest;                  ///< the beginning of the next line
  };

  /// `rows_max`: more rows are an error.
  explicit device_parser(std::uint64_t rows_max) : rows_max_(rows_max) {}
  device_parser(std::uint64_t rows_max, const place& from);

  /// Errors concern the list as a whole and tell nothing of `part`: wrong column names, a line that is too long, too
  /// many rows (config_syntax, config_range, config_unknown_key, config_missing); fault_line() is their place. Use the parser
  /// no further after an error.
  status feed(byte_view part, row_sink& to);
  /// The end of the list. config_missing: it has no row.
  status end(row_sink& to);

  /// Of the last error; 0: it concerns no single line.
  [[nodiscard]] std::size_t fault_line() const { return empty_ ? 0 : lines_.number(); }
  [[nodiscard]] place at() const;

 private:
  status take(std::string_view line, row_sink& to);
  status begin(std::string_view line);

  const std::uint64_t rows_max_;
  line_splitter lines_;
  std::uint64_t rows_ = 0;
  bool empty_ = false;
  form form_ = form::unknown;
  std::vector<std::uint8_t> columns_;
};

}  // namespace cpns::server
