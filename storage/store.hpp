#pragma once
// Durable key-value store interface: rows of bytes with versions in tables, written in batches that are atomic and
// durable when the call returns. Roles write through sealed_store.hpp, which encrypts the rows.

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/named_enum.hpp"
#include "base/result.hpp"
#include "storage/write_times.hpp"

namespace cpns::storage {

/// The numbers are stored on disk and bound into the seal of every record: never reuse one.
// clang-format off
#define CPNS_TABLES(X)                                                                                       \
  X(meta,        1, "the store's own rows: the wrapped data key, the incarnation, the audit chain")          \
  X(users,       2, "server: one row per CPNS User ID")                                                      \
  X(devices,     3, "server: one row per manufactured device, with its Temporary Key")                       \
  X(entities,    4, "server: one row per entity with its assigned keys")                                     \
  X(requests,    5, "server: idempotency records, one per request id")                                       \
  X(peers,       6, "gateway: one row per PNE with its key set; PNE: one row per device with its key slots")   \
  X(credentials, 7, "gateway: the credentials of its user")                                                  \
  X(revocations, 8, "server: revoked entities")                                                              \
  X(gateways,    9, "server: one row per gateway that connected or was blocked")                             \
  X(imports,     10, "server: imports of devices, with the rows that they stage")                            \
  X(batches,     12, "server: one row per batch of devices, with its master key")                            \
  X(indexes,     13, "server: one row per entity and holder, entity and owner, device and batch or owner")     \
  X(nodes,       14, "server: one row per server of a shared store, with its last heartbeat")
// clang-format on
CPNS_NUMBERED_ENUM(table, CPNS_TABLES)

inline constexpr table all_tables[] = {
#define CPNS_X(id, number, meaning) table::id,
    CPNS_TABLES(CPNS_X)
#undef CPNS_X
};

inline constexpr std::size_t max_row_size = 512;            ///< bytes of the name of a row
inline constexpr std::size_t max_value_size = 1024 * 1024;  ///< bytes of the value of a row

/// The place of one row.
struct row_name {
  storage::table table{};
  bytes row;
};

/// A value as it is stored. Every write of a row raises its version by one, so a writer that read version n loses if
/// another one was faster. Versions begin at 1; 0 is a row that a store of schema 1 wrote, or one that does not exist.
struct stored_value {
  std::uint64_t version = 0;
  bytes value;
};

/// Writes or removes one row if it still has the version that the writer read.
struct write_op {
  storage::table table{};
  bytes row;
  std::uint64_t expected = 0;  ///< version of the row now; 0: it does not exist, or has no version yet
  /// The new value, which gets the version expected + 1; nullopt: removes the row, and its version with it, so that a
  /// row that others may still write is not removed but gets a value that says so (sealed_store.hpp).
  std::optional<bytes> value;
  /// Only with a value and without an expected version: the row is written if it does not exist, else it stays as it is,
  /// and the batch does not lose by it. Such a row is durable if its batch is; it may also appear if its batch loses.
  bool if_absent = false;
  /// Other processes have this row in memory, or what it stands for: those that listen() are told after the write.
  bool announce = false;
  /// store::moment() before the row was read with the version `expected`, or, with `if_absent`, before it was known not to
  /// exist; 0: not known. Spares some engines a second read.
  std::uint64_t read_at = 0;
};
/// At most one op per row.
using write_batch = std::vector<write_op>;

/// A row as it is stored.
struct stored_row {
  bytes row;
  std::uint64_t version = 0;
  bytes value;
};

/// Called for one row; returns false to end the scan. The row is valid during the call. May call the store.
using row_visitor = std::function<bool(const stored_row& row)>;

/// A slice ends after this many bytes of names and values, but has at least one row.
inline constexpr std::size_t slice_bytes_max = 4 * 1024 * 1024;

/// Tells whether a store accepts writes.
struct store_health {
  bool writable = true;
  bool lost = false;           ///< accepts no more writes in this process: the role must end
  std::uint64_t reopened = 0;  ///< how often it was reopened; rows read before may be out of date
  std::string why;             ///< if not writable: the reason and the remedy
};

/// Whether nodes of one database hear of each other's changes at once (store::listen).
enum class hint_state : std::uint8_t {
  off,      ///< the engine has none, or nobody listens
  away,     ///< no connection at the moment
  refused,  ///< the database, or a pooler before it, refuses them
  on
};

/// Of store::listen(), since the store was opened.
struct hint_statistics {
  hint_state state = hint_state::off;
  std::uint64_t sent = 0, heard = 0;
};

/// How a store uses its database. Without addresses and names: it is shown to people who may not know them.
struct database_view {
  std::string_view statements;  ///< of the configuration: "batch", "portable"
  hint_state hints = hint_state::off;
  std::size_t hosts = 0;  ///< that are configured
  std::optional<std::size_t>
      host{};  ///< at which new connections begin, counted from 0; nullopt: it did not work yet, or not lately
  write_times::summary writes;  ///< the last ones, failed ones included
};

/// The seam between cpns and a database. Calls block, and take many rows at once: the threads of group_commit.hpp and
/// group_read.hpp make them, so that no actor waits for a disk or a network. [thread-safe] Errors are from the store
/// group of errc.
class store {
 public:
  virtual ~store() = default;

  /// The rows in the order of `names`; nullopt: the row does not exist. store_damaged, store_unavailable.
  virtual result<std::vector<std::optional<stored_value>>> read(std::span<const row_name> names) const = 0;

  /// For write_op::read_at: a number that the engine gives for the moment, to be taken before a read. 0: it has none.
  [[nodiscard]] virtual std::uint64_t moment() const { return 0; }

  /// The outcome of each batch, in their order. A batch is atomic; the batches are not, but one wait for the disk serves
  /// them all: they are durable on return. A batch sees those before it. store_conflict: a row has another version than
  /// the op expects, and nothing of the batch is written. After any other error the outcome is unknown: the batch may
  /// appear later, so a caller with a copy of the row must read it again once the store is writable. store_full: no
  /// space; reads still work, and writes work again by themselves as soon as there is space. An empty batch tells
  /// whether the store accepts writes.
  virtual std::vector<status> write(std::span<const write_batch> batches) = 0;

  /// The rows whose names begin with `prefix`, in byte order. An embedded store visits one consistent snapshot.
  virtual status scan(table t, byte_view prefix, const row_visitor& visit) const = 0;

  /// The first rows of a table after the name `after`, which need not exist, in byte order: at most `limit`, and at most
  /// slice_bytes_max bytes. Empty: no row follows. Holds no lock and no snapshot after the call, so a list of slices
  /// delays no write; rows that are written meanwhile may be in it or not.
  virtual result<std::vector<stored_row>> slice(table t, byte_view after, std::size_t limit) const = 0;

  [[nodiscard]] virtual store_health health() const { return {}; }

  /// Whether other processes write to it at the same time: then what a role keeps in memory grows old by itself.
  [[nodiscard]] virtual bool shared() const { return false; }
  /// Calls `heard` soon after another process of a shared store wrote a row with write_op::announce, until the result is
  /// destroyed. Only a hint: it may be lost, late, or called without a write, and some engines have none, so that callers
  /// look often anyway. On a thread of the store; must not block and must not call the store. The store outlives the
  /// result.
  [[nodiscard]] virtual std::shared_ptr<void> listen(const std::function<void()>& /*heard*/) { return {}; }
  /// nullopt: the engine has no hints, or they are off.
  [[nodiscard]] virtual std::optional<hint_statistics> hints() const { return {}; }
  /// nullopt: the store is not in a database.
  [[nodiscard]] virtual std::optional<database_view> database() const { return std::nullopt; }
  /// The clock of the database's machine; nullopt: it is that of this one. store_unavailable.
  [[nodiscard]] virtual result<std::optional<time_point>> clock() const {
    return std::optional<time_point>{};
  }
  /// Asks a shared store whether this program may go on with it: a later release can end that. False: health() says why,
  /// and that the store is lost. Errors of read.
  [[nodiscard]] virtual result<bool> allows_this_program() { return true; }
  /// The identity of the folder that a node of a shared store has locked; empty if there is none.
  [[nodiscard]] virtual std::string node() const { return {}; }

  /// One row, as read().
  [[nodiscard]] result<std::optional<stored_value>> get(table t, byte_view row) const;
  /// One batch, as write().
  status write_one(write_batch batch);
};

/// Whether a batch that took effect has a row with write_op::announce.
bool announces(std::span<const write_batch> batches, const std::vector<status>& outcomes);

/// Collects the rows of a slice up to its bounds.
class slice_builder {
 public:
  explicit slice_builder(std::size_t limit) : limit_(limit) {}
  [[nodiscard]] bool full() const { return rows_.size() >= limit_ || size_ >= slice_bytes_max; }
  void add(stored_row row);
  std::vector<stored_row> take() { return std::move(rows_); }

 private:
  const std::size_t limit_;
  std::size_t size_ = 0;
  std::vector<stored_row> rows_;
};

/// The error of a batch that lost: `found` is the version of the row, which the op expected to be `expected`.
error lost_race(table t, std::uint64_t expected, std::uint64_t found);

/// store_write_failed if a name is empty or longer than max_row_size, a value is longer than max_value_size, two ops are
/// on one row, or an op with `if_absent` has a version or no value.
status check_batch(const write_batch& batch);

}  // namespace cpns::storage
