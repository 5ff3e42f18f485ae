#pragma once
// Encrypts a store: values are sealed with XAES-256-GCM, and the names of rows are hidden by HMAC.
//
// Each store has one random data key, which is kept in wrapped form in the table `meta`. HKDF-Expand derives the
// sealing key and the row key from it. A row with the plain name `row` has the stored name
// HMAC(row key, E([table, row])) (32 bytes); in the table `indexes` it stands behind HMAC(index key, E([index, group])), so
// that the rows of a group follow each other (index_name.hpp). The stored value is key_id(8) || XAES-256-GCM of E([row, value]) with
// AAD = E(["cpns/1 row", table, stored name, key_id, 2, version]). The version is that of the row in the engine, so a
// database that passes an old value off as a new one is found out. An erased row is E([row, null]): it goes on counting
// its versions. A store of schema 1 has rows without a version, with AAD = E(["cpns/1 row", table, stored name, key_id,
// 1]); they are read until each row is written again (storage/migrate.hpp).
// Not hidden: number and sizes of rows. Not prevented: restoring a whole older row with its version, or removing a row.

#include <atomic>
#include <memory>
#include <span>
#include <string>

#include "base/entropy.hpp"
#include "base/secret.hpp"
#include "storage/index_name.hpp"
#include "storage/key_protector.hpp"
#include "storage/rewrap.hpp"
#include "storage/store.hpp"

namespace cpns::storage {

struct sealed_op {
  storage::table table{};
  bytes row;                          ///< plain name, 1 to max_sealed_row_size bytes
  std::optional<secret_bytes> value;  ///< at most max_sealed_value_size bytes; nullopt: erase
  /// The version that the writer read: if the row has another one, the batch fails with store_conflict. nullopt: the op
  /// replaces any version, for rows that one thread of the role writes.
  std::optional<std::uint64_t> expected{};
  /// As of write_op; `expected` is ignored. In tables whose rows are removed, not erased: `imports` and `indexes`.
  bool if_absent = false;
  bool announce = false;  ///< as of write_op
  /// sealed_value::read_at of the row with the version `expected`, or, with `if_absent`, when it did not exist
  std::uint64_t read_at = 0;
};
/// Of two ops on one row the later one counts.
using sealed_batch = std::vector<sealed_op>;

/// A row with the version that a change of it must expect.
struct sealed_value {
  std::uint64_t version = 0;          ///< 0: the row never existed, or was written by schema 1
  std::optional<secret_bytes> value;  ///< nullopt: the row does not exist, or was erased
  std::uint64_t read_at = 0;          ///< as of write_op
};

inline constexpr std::size_t max_sealed_row_size = max_row_size;
inline constexpr std::size_t max_sealed_value_size = max_value_size - 1024;  ///< minus the sealing overhead

/// Called for one row; returns false to end the scan. The arguments are valid during the call
/// only. The visitor may call the store.
using sealed_visitor = std::function<bool(byte_view row, const secret_bytes& value)>;
/// Called for each row that cannot be decrypted (store_sealed, as in read()); its name is unknown.
using damage_visitor = std::function<void(const error&)>;

/// Called for one row by several threads at once. The arguments are valid during the call only.
using shared_row_visitor = std::function<void(byte_view row, byte_view value)>;

/// The name of the last row of a page, as text: the `after` of the next page. nullopt: no row follows.
using page_end = std::optional<std::string>;

struct group_member {
  bytes member;
  std::uint64_t version = 0;  ///< of its row
  std::string place;          ///< the `after` of a page that begins behind it
};
struct member_page {
  std::vector<group_member> rows;
  page_end next;
};

/// [thread-safe] if the entropy that was passed to open() is thread-safe.
class sealed_store {
 public:
  /// Opens the sealed rows in `under`, or creates a data key if `under` is empty. `under` and `random` must
  /// outlive the sealed store. Returns store_key if `protector` cannot unwrap the data key.
  static result<std::unique_ptr<sealed_store>> open(store& under, const key_protector& protector,
                                                    entropy& random);
  ~sealed_store();
  sealed_store(const sealed_store&) = delete;
  sealed_store& operator=(const sealed_store&) = delete;

  /// Rows by their plain names, in the order of `names`; each has an error of its own. store_sealed if the row was
  /// changed, copied from another place, or sealed under another data key; errors of store::read for all of them.
  [[nodiscard]] std::vector<result<sealed_value>> read(std::span<const row_name> names) const;
  /// The same for one row.
  [[nodiscard]] result<sealed_value> read_one(table t, byte_view row) const;
  /// The value of one row alone.
  result<std::optional<secret_bytes>> get(table t, byte_view row) const;
  /// True if the row exists.
  result<bool> has(table t, byte_view row) const;
  /// For sealed_op::read_at of a row whose version is known and whose only writer has no write under way.
  [[nodiscard]] std::uint64_t moment() const { return under_.moment(); }
  /// As store::write: the outcome of each batch; a batch is atomic. Durable on return.
  std::vector<status> write_all(std::span<const sealed_batch> batches);
  /// The same for one batch.
  status write(const sealed_batch& batch);
  /// The rows of a table whose plain names begin with `prefix`, in no particular order. Decrypts every row of the
  /// table. A row that cannot be decrypted is reported to `damaged` and skipped; without `damaged` its error
  /// ends the scan.
  status scan(table t, byte_view prefix, const sealed_visitor& visit,
              const damage_visitor& damaged = {}) const;

  /// All rows of a table in no particular order, read and decrypted by `threads` threads, which share the visitors: for a role
  /// that reads a large table before it begins its work. Not the table `meta`. Rows that are written meanwhile may be among
  /// them or not. Exceptions of the visitors pass through.
  status scan_with(std::size_t threads, table t, const shared_row_visitor& visit,
                   const damage_visitor& damaged) const;

  /// A page of a table: reads at most `limit` rows after the one that `after` names (empty: from the first), in the order
  /// of the stored names, which is not that of the plain ones. `visit` returns false to end the page after its row. Rows
  /// that cannot be decrypted are reported to `damaged` and skipped. Holds no lock while it visits, and never more than a
  /// slice of the store. config_range if `after` is not the end of a page.
  result<page_end> page(table t, std::string_view after, std::size_t limit, const sealed_visitor& visit,
                        const damage_visitor& damaged) const;

  /// The same for the members of a group, whose rows are in the table `indexes`: at most `limit` after `after`.
  [[nodiscard]] result<member_page> members(const index_group& of, std::string_view after, std::size_t limit,
                                            const damage_visitor& damaged) const;

  /// The beginning of the stored name of a row, as messages show it: "1f0a...".
  [[nodiscard]] std::string hidden_name(table t, byte_view row) const;

  /// Seals all rows of a table again that have no version: reads at most `limit` rows after the one that `after` names.
  /// Counts them in `done`. Rows that cannot be decrypted are reported to `damaged` and stay. Errors of page() and write.
  result<page_end> migrate(table t, std::string_view after, std::size_t limit, std::size_t& done,
                           const damage_visitor& damaged);
  /// From now on, and after each later start, a row without a version is refused with store_sealed: nobody can put an old
  /// row back. Only when no such row is left. Durable on return.
  status refuse_schema_1();
  /// False: rows without a version are read.
  [[nodiscard]] bool refuses_schema_1() const { return refuses_schema_1_; }

  /// The place of the data key of this store, which stays open: a change of its wrapping changes no row and nothing in
  /// memory. The store outlives it. [thread-safe]
  [[nodiscard]] key_place data_key(std::string name);
  /// The store whose rows this one seals, for storage/data_key.hpp.
  [[nodiscard]] store& under() const { return under_; }

  /// Fails as a write does while the store accepts none. A write that failed may turn up when the store is opened again:
  /// a change that reads a row before it writes it calls this before it reads.
  [[nodiscard]] status accepts_writes();
  /// Health of the underlying store.
  [[nodiscard]] store_health health() const { return under_.health(); }
  /// As store::shared().
  [[nodiscard]] bool shared() const { return under_.shared(); }
  /// As store::listen().
  [[nodiscard]] std::shared_ptr<void> listen(const std::function<void()>& heard) const {
    return under_.listen(heard);
  }
  /// As store::hints().
  [[nodiscard]] std::optional<hint_statistics> hints() const { return under_.hints(); }
  /// As store::database().
  [[nodiscard]] std::optional<database_view> database() const { return under_.database(); }
  /// As store::clock().
  [[nodiscard]] result<std::optional<time_point>> clock() const { return under_.clock(); }
  /// As store::node().
  [[nodiscard]] std::string node() const { return under_.node(); }

 private:
  struct keys;
  struct plain_row;
  class sealer;
  struct sealing;
  sealed_store(store& under, entropy& random, std::unique_ptr<const keys> k);
  /// As the store under this one gets them; the batches are valid. Errors of store::read.
  result<std::vector<write_batch>> sealed(const std::vector<const sealed_batch*>& batches);
  /// In one call of the store under this one; the batches are valid.
  std::vector<status> write_together(const std::vector<const sealed_batch*>& batches);
  [[nodiscard]] result<plain_row> open_row(sealer& by, table t, byte_view stored, std::uint64_t version,
                                           byte_view value) const;
  /// store_sealed: no row may have this version any more.
  [[nodiscard]] status admits(table t, byte_view stored, std::uint64_t version) const;

  store& under_;
  entropy& random_;
  std::unique_ptr<const keys> keys_;
  std::atomic<bool> refuses_schema_1_ = false;
};

/// store_write_failed if a name is empty or too long, or a value is too long.
status check_batch(const sealed_batch& batch);

}  // namespace cpns::storage
