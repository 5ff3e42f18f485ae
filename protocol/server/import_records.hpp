#pragma once
// The stored records of an import of devices. Its rows are staged in blocks, so that no device appears before all of
// them were checked. Secret: they hold Temporary Keys, and leave memory only sealed.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/named_enum.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace cpns::protocol {

// clang-format off
#define CPNS_IMPORT_STATES(X)                                                                            \
  X(receiving, "takes bytes; nothing is imported yet")                                                   \
  X(importing, "all rows were checked, and the devices are being written; a start of the server goes on") \
  X(done,      "the devices are imported")                                                               \
  X(refused,   "nothing was imported, and nothing will be")
// clang-format on
CPNS_NAMED_ENUM(import_state, CPNS_IMPORT_STATES)

/// Where and how an import stands. One row per import; each write of a block or of devices writes it, too.
struct import_record {
  std::string name;
  std::string batch;  ///< of its devices, for people
  bool partial = false, replace = false, require_presence = true;
  bool allow_constant = false, allow_repeats = false;
  import_state state = import_state::receiving;
  std::int64_t created = 0;  ///< Unix seconds
  std::int64_t changed = 0;  ///< Unix seconds of the last bytes, or of the end
  // Why it was refused as a whole.
  std::string fault_code, fault_text;
  std::uint64_t fault_line = 0;  ///< 0: no single line
  // The list as far as it was received; device_parser::place.
  std::uint64_t bytes = 0, lines = 0;
  std::uint64_t form = 0;
  cpns::bytes columns;
  secret_bytes rest;
  std::uint64_t good = 0;  ///< rows that can be read; once checked: rows that can be imported
  std::uint64_t bad = 0;   ///< all others
  std::uint64_t stretched = 0;
  std::uint64_t warnings = 0;
  std::uint64_t blocks = 0;
  std::uint64_t results_kept = 0;  ///< rows with a text, in blocks of their own
  std::string sha256;              ///< of the rows without their keys; empty until they were checked
  // The next row to import, and how many were.
  std::uint64_t next_block = 0, next_row = 0, imported = 0;
};

/// A row that waits for its import.
struct staged_device {
  std::uint64_t line = 0;
  entity_id entity;
  secret_bytes temporary_key;  ///< TK as the manufacturer set it
  bool stretch = false;
  std::optional<user_id> owner;
};
using staged_block = std::vector<staged_device>;

/// The error of a row that is left out, or a warning about one that is imported. Never names a key.
struct import_result {
  std::uint64_t line = 0;
  std::string entity;  ///< empty if it could not be read
  std::string text;
  bool warning = false;
};
using import_results = std::vector<import_result>;

inline constexpr std::size_t import_name_max = 64;
inline constexpr std::size_t staged_rows_max = 4096;  ///< of one block
inline constexpr std::size_t result_text_max = 512;   ///< bytes; a longer text is cut
inline constexpr std::size_t results_per_row_max = 512;

secret_bytes encode(const import_record& r);
secret_bytes encode(const staged_block& rows);
secret_bytes encode(const import_results& rows);
secret_bytes encode_import_names(const std::vector<std::string>& names);
result<import_record> decode_import_record(byte_view in);
result<staged_block> decode_staged_block(byte_view in);
result<import_results> decode_import_results(byte_view in);
result<std::vector<std::string>> decode_import_names(byte_view in);

/// The row in the table `imports` that holds the record.
std::string import_row(std::string_view name);

}  // namespace cpns::protocol
