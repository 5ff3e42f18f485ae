#pragma once
// Lists of manufactured devices: `cpns device import` reads them for the server, a `pne` process for the devices
// that it hosts. CSV (RFC 4180, column names in the first line) or JSON Lines (one object per line), UTF-8, with
// or without a byte order mark, LF or CRLF.
//
//   entity_id      the Entity ID
//   temporary_key  the key, in the form of cli/key_text.hpp
//   strength       128bit: at least 16 random bytes, as the manufacturer declares; stretch: a weaker passphrase
//   owner          optional: the CPNS User ID that owns the device from the start
//   encoding       optional: hex, base64 or text, for a temporary_key without such a prefix

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
inline constexpr std::size_t device_rows_max = 200'000;  ///< per file; a file is imported in one write

struct device_row {
  std::size_t line = 0;  ///< counted from 1
  entity_id entity;
  secret_bytes temporary_key;  ///< TK as the manufacturer set it
  bool stretch = false;
  std::optional<user_id> owner;
};

/// The error of one row. Never names a key.
struct row_diagnostic {
  std::size_t line = 0;
  std::string entity;  ///< empty if it could not be read
  std::string text;
  /// "FILE:LINE: ENTITY: TEXT"
  [[nodiscard]] std::string in(const std::string& file) const {
    return file + ":" + std::to_string(line) + ": " + (entity.empty() ? "" : entity + ": ") + text;
  }
};

struct device_rows {
  std::vector<device_row> good;  ///< in the order of the file; no entity appears twice
  std::vector<row_diagnostic> bad;
};

/// Reads all rows. Errors concern the file as a whole and begin with `name`: wrong column names, a line over
/// device_line_max, no row at all (config_syntax, config_range, config_unknown_key, config_missing). Errors of
/// `in`.
result<device_rows> read_device_rows(const byte_source& in, const std::string& name);
/// The same for a file; errors of private_file, too.
result<device_rows> load_device_rows(const std::filesystem::path& file);
result<device_rows> load_device_rows(const private_file& file);

/// Reads the key of one device from a file of its own: one line, the key as in the column temporary_key; if it is
/// to be stretched, a space and the word "stretch" follow. config_syntax, config_range, or an error of
/// private_file.
result<device_row> load_temporary_key(const std::filesystem::path& file, const entity_id& entity);

/// TK' of the row. Takes about 150 ms if the key is to be stretched.
secret32 kept_key(const crypto::suite& s, const device_row& row);

}  // namespace cpns::cli
