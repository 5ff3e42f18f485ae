#pragma once
// `cpns store export` and `cpns store import`: the store of a stopped server in a file, and back into an empty store.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "audit/entry.hpp"
#include "base/result.hpp"
#include "storage/export_file.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::cli {

struct transfer_options {
  std::filesystem::path config, file;
  std::filesystem::path passphrase_file;  ///< empty: the file is sealed under the key of the configuration
  bool force = false;                     ///< an export may replace a file
  /// For a person: what is going on. Rows of an export; bytes of an import.
  std::function<void(const std::string& what, std::uint64_t done, std::uint64_t all)> progress;
};

struct transferred {
  std::string file_id;
  storage::row_counts counts;
  std::uint64_t incarnation = 0;  ///< of an import: the new one; 0: no server ever started with the rows
  bool resumed = false;           ///< of an import: it went on with an interrupted one
  bool complete_before = false;   ///< of an import: an earlier one was complete, and this one wrote nothing
  [[nodiscard]] std::uint64_t rows() const;
};

/// Writes the rows of a stopped server to a new file of mode 0600, recorded in the audit trail. After an error, or
/// state_stopping if the command was interrupted, it leaves no file. store_locked or state_conflict if a server runs.
result<transferred> export_store(const transfer_options& o);
/// Writes the rows of a file into the empty store of a server that has not started yet, recorded in the audit trail. Nothing
/// is written if the file has a fault. After state_stopping, or an error of the store, the same call goes on. Records nothing
/// if an import of this file was complete before.
result<transferred> import_store(const transfer_options& o);

// The actions in the audit trail; the object is the file, as it was typed.
inline constexpr const char* store_export = "store-export";
inline constexpr const char* store_import = "store-import";
/// What became of an export whose outcome is missing, by the file that its intent names.
audit::outcome resolve_export(const audit::unfinished& u);
/// What became of an import whose outcome is missing.
audit::outcome resolve_import(const storage::sealed_store& store, const audit::unfinished& u);

}  // namespace cpns::cli
