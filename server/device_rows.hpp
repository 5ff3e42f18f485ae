#pragma once
// Whole lists of devices in memory, for files of a bounded size: a `pne` process reads the devices that it hosts. Lists
// of any size go through device_parser.hpp.

#include <filesystem>
#include <string>
#include <vector>

#include "base/private_file.hpp"
#include "crypto/suite.hpp"
#include "server/device_parser.hpp"

namespace cpns::server {

inline constexpr std::size_t device_rows_max = 200'000;  ///< per file

struct device_rows {
  std::vector<device_row> good;  ///< in the order of the file; no entity appears twice
  std::vector<row_diagnostic> bad;
};

/// Reads all rows. Errors are those of device_parser and begin with `name` and the line. Errors of `in`.
result<device_rows> read_device_rows(const byte_source& in, const std::string& name);
/// The same for a file; errors of private_file, too.
result<device_rows> load_device_rows(const std::filesystem::path& file);

/// The row's error if its device is in line `first` already.
std::string listed_already(std::size_t first);

/// Reads the key of one device from a file of its own: one line, the key as in the column temporary_key; if it is
/// to be stretched, a space and the word "stretch" follow. config_syntax, config_range, or an error of
/// private_file.
result<device_row> load_temporary_key(const std::filesystem::path& file, const entity_id& entity);

/// TK' of a Temporary Key. Takes about 150 ms if the key is to be stretched.
secret32 kept_key(const crypto::suite& s, const entity_id& entity, byte_view temporary_key, bool stretch);
secret32 kept_key(const crypto::suite& s, const device_row& row);

}  // namespace cpns::server
