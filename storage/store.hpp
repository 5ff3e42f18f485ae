#pragma once
// Durable key-value store interface: rows of bytes in tables, written in batches that are atomic and on the
// disk when the call returns. Roles write through sealed_store.hpp, which encrypts the rows.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/named_enum.hpp"
#include "base/result.hpp"

namespace cpns::storage {

/// The numbers are on the disk and are part of what a record is sealed for: never reuse one.
// clang-format off
#define CPNS_TABLES(X)                                                                                       \
  X(meta,        1, "the store's own facts: the wrapped data key, the incarnation")                          \
  X(users,       2, "server: one row per CPNS User ID")                                                      \
  X(devices,     3, "server: one row per manufactured device, with its Temporary Key")                       \
  X(entities,    4, "server: one row per entity with what was assigned to it")                               \
  X(requests,    5, "server: idempotency records, one per request id")                                       \
  X(peers,       6, "gateway: one row per PNE with its key set")                                             \
  X(credentials, 7, "gateway: the credentials of its user")                                                  \
  X(revocations, 8, "server: revoked entities")
// clang-format on
CPNS_NUMBERED_ENUM(table, CPNS_TABLES)

inline constexpr table all_tables[] = {
#define CPNS_X(id, number, meaning) table::id,
    CPNS_TABLES(CPNS_X)
#undef CPNS_X
};

inline constexpr std::size_t max_row_size = 512;            ///< bytes of a row's name
inline constexpr std::size_t max_value_size = 1024 * 1024;  ///< bytes of a row's value

/// Puts a value into a row, or erases the row.
struct write_op {
  storage::table table{};
  bytes row;
  std::optional<bytes> value;  ///< nullopt: erase; a row that is not there is no error
};
using write_batch = std::vector<write_op>;

/// Looks at one row; false ends the scan. The views are valid during the call. It may call the store.
using row_visitor = std::function<bool(byte_view row, byte_view value)>;

/// Whether a store takes writes.
struct store_health {
  bool writable = true;
  bool lost = false;           ///< it takes no more writes in this process: its role has to end
  std::uint64_t reopened = 0;  ///< how often it came back; what was read before may be older than it
  std::string why;             ///< not writable: the reason, and what to do
};

/// [thread-safe] Errors are of the store group of errc.
class store {
 public:
  virtual ~store() = default;

  /// The value of a row, nullopt if there is none. store_damaged if it cannot be read.
  virtual result<std::optional<bytes>> get(table t, byte_view row) const = 0;

  /// All of the batch or nothing, durable on return; of two ops on one row the later one counts. After an
  /// error the batch may still turn up when the store is opened again, whole: nobody was told that it would
  /// not. Who keeps the row in memory reads it again once the store is writable. store_full: no room; the
  /// store goes on reading, and takes writes again by itself as soon as there is room.
  virtual status write(const write_batch& batch) = 0;

  /// The rows whose names begin with `prefix` in order of their bytes, as of one moment.
  virtual status scan(table t, byte_view prefix, const row_visitor& visit) const = 0;

  [[nodiscard]] virtual store_health health() const { return {}; }
};

/// store_write_failed if a row's name is empty or longer than max_row_size, or a value longer than
/// max_value_size.
status check_batch(const write_batch& batch);

}  // namespace cpns::storage
