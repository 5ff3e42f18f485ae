#pragma once
// Checks every row of a server's store, for an operator who has to know whether a disk, a restore or a person changed it:
// its seal, its record, that it is the record of its name, and its index rows.

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "storage/sealed_store.hpp"

namespace cpns::server {

/// A row without its name, which may be that of a user: the beginning of its stored name.
struct row_fault {
  storage::table table{};
  std::string what;  ///< names the row and the fault
};

struct table_check {
  std::uint64_t rows = 0;  ///< with those at fault
  std::uint64_t faults = 0;
};

struct store_findings {
  std::map<storage::table, table_check> tables;  ///< those with rows
  std::uint64_t stale = 0;                       ///< index rows of a former holder, owner or batch; no fault
  bool index_complete =
      false;  ///< false: the server still writes index rows, and a missing one is not a fault

  [[nodiscard]] std::uint64_t rows() const;
  [[nodiscard]] std::uint64_t faults() const;
};

/// Decodes a row; an error is a fault.
using row_decoder = std::function<status(storage::table t, byte_view row, const secret_bytes& value)>;
/// Of a server's rows: the record, and that it has the name of its row.
status decode_server_row(storage::table t, byte_view row, const secret_bytes& value);

/// Reads all tables. Writes nothing. Others may write meanwhile: a row that seems to have no index row is read again.
/// `fault` gets each fault, `progress` the number of rows from time to time. Errors of the store, which then cannot be
/// read at all.
result<store_findings> check_rows(const storage::sealed_store& store, const row_decoder& decode,
                                  const std::function<void(const row_fault&)>& fault,
                                  const std::function<void(std::uint64_t)>& progress);

}  // namespace cpns::server
