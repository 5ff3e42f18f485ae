#pragma once
// Lists of manufactured devices: what `cpns device import` reads for the server, and what a `pne` process
// reads for the devices that it hosts. CSV (RFC 4180, first row the column names) or JSON Lines (one object a
// line), UTF-8, with or without a byte order mark, LF or CRLF.
//
//   entity_id      the Entity ID
//   temporary_key  the key, as cli/key_text.hpp says
//   strength       128bit: at least 16 random bytes, the manufacturer says so; stretch: a weaker passphrase
//   owner          optional: the CPNS User ID that owns the device from the start
//   encoding       optional: hex, base64 or text, for a temporary_key that does not say what it is

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/private_file.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/suite.hpp"

namespace cpns::cli {

inline constexpr std::size_t device_line_max = 4096;     ///< bytes of one line
inline constexpr std::size_t device_rows_max = 200'000;  ///< of one file, which is imported in one write

struct device_row {
  std::size_t line = 0;  ///< counted from 1
  entity_id entity;
  secret_bytes temporary_key;  ///< TK, as the manufacturer gave it
  bool stretch = false;
  std::optional<user_id> owner;
};

/// A row that cannot be used. Never names a key.
struct row_diagnostic {
  std::size_t line = 0;
  std::string entity;  ///< if the row got that far
  std::string text;
  /// "FILE:LINE: ENTITY: what is wrong"
  [[nodiscard]] std::string in(const std::string& file) const {
    return file + ":" + std::to_string(line) + ": " + (entity.empty() ? "" : entity + ": ") + text;
  }
};

struct device_rows {
  std::vector<device_row> good;  ///< in the order of the file, no entity twice
  std::vector<row_diagnostic> bad;
};

/// Reads all rows. Errors are those of the file as a whole (config_syntax, config_range, config_unknown_key,
/// config_missing), and begin with `name`: the column names, a line over device_line_max, no row at all; and
/// those of `in`.
result<device_rows> read_device_rows(const byte_source& in, const std::string& name);
/// Errors of private_file, too.
result<device_rows> load_device_rows(const std::filesystem::path& file);
result<device_rows> load_device_rows(const private_file& file);

/// A file with the key of one device: one line with the key as in the column temporary_key, then, if it is to
/// be stretched, a space and the word "stretch". config_syntax, config_range, or an error of private_file.
result<device_row> load_temporary_key(const std::filesystem::path& file, const entity_id& entity);

/// TK' of the row; about 150 ms when it is to be stretched.
secret32 kept_key(const crypto::suite& s, const device_row& row);

}  // namespace cpns::cli
