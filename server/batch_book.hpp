#pragma once
// The batches of devices whose Temporary Keys follow from a master key (docs/protocol.md, "Batches").
//
// Each request names an Entity ID that may belong to one of thousands of batches, and an invented one must not cost more
// than a known one. So all batches are in memory, in two sorted maps: the batch of an Entity ID takes no read. A change is
// seen when it is durable.

#include <boost/json/object.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crypto/suite.hpp"
#include "protocol/server/batch_record.hpp"
#include "server/admin_pages.hpp"
#include "server/store_admin.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::server {

using shared_batch = std::shared_ptr<const protocol::batch_record>;

/// state_unknown.
tl::unexpected<error> unknown_batch(const std::string& batch);

/// [thread-safe]
class batch_book {
 public:
  static constexpr std::size_t batches_max = 10'000;

  /// `store` outlives the calls of load() and reload().
  explicit batch_book(const storage::sealed_store& store) : store_(store) {}

  /// Reads all batches; before the first request. Rows that cannot be read are left out, counted and logged: their devices
  /// are unknown until the row is repaired. Errors of the store; state_exhausted: more than batches_max.
  status load();
  /// The same after the store was opened again: a write that failed may have turned up. Changes that become durable
  /// meanwhile are kept. An error changes nothing.
  status reload() { return load(); }
  /// Whether other servers changed batches after load() by what `version` says, that of changes_row(changes_of::batches).
  [[nodiscard]] bool behind(std::uint64_t version) const;
  /// Reads them again if so. Errors of load().
  status catch_up();
  /// The version of changes_row() before the rows were read.
  [[nodiscard]] std::uint64_t seen() const;

  /// The batch of this Entity ID; nullptr if it has none.
  [[nodiscard]] shared_batch of(const entity_id& entity) const;
  /// nullptr if there is none of this name.
  [[nodiscard]] shared_batch named(std::string_view batch) const;
  /// At most `limit` batches whose names begin with `prefix` and come after `after`, by name.
  [[nodiscard]] std::vector<shared_batch> list(std::string_view prefix, std::string_view after,
                                               std::size_t limit) const;
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::size_t unreadable() const;
  /// Whether the batch can be added: state_exists; state_conflict: an Entity ID of it belongs to another batch, or there are
  /// batches_max. One change at a time: nothing is reserved.
  [[nodiscard]] status accepts(const protocol::batch_record& batch) const;

  /// The row is durable, or gone.
  void put(const shared_batch& batch);
  void erase(const std::string& batch);

 private:
  struct index {
    std::map<std::string, shared_batch, std::less<>> names;
    // Ranges do not overlap, so that at most the last one that is not after an Entity ID has it.
    std::map<std::string, shared_batch, std::less<>> prefixes;
    std::map<std::pair<std::size_t, std::string>, shared_batch> ranges;  ///< by length and FROM
    void put(const shared_batch& batch);
    void erase(const std::string& batch);
  };

  const storage::sealed_store& store_;
  mutable std::mutex guard_;
  index index_;
  std::uint64_t changes_ = 0;  ///< while the rows are read again
  std::uint64_t seen_ = 0;     ///< changes of all servers, of which the index knows
  std::size_t unreadable_ = 0;
};

/// A fresh master key for it. Errors of protocol::parse_ranges; config_range: the name.
result<protocol::batch_record> make_batch(entropy& random, const std::string& batch,
                                          const std::vector<std::string>& ids, time_point now);
/// Of several servers that change batches at the same time one wins; the others catch up and decide again, so that no two
/// batches overlap. Errors of batch_book::accepts; state_exists also if the row cannot be read; state_conflict. The caller
/// puts it into the book.
status add_batch(const storage::sealed_store& store, batch_book& book, const durable_write& write,
                 const protocol::batch_record& batch);
/// state_unknown, state_conflict.
status remove_batch(const storage::sealed_store& store, batch_book& book, const durable_write& write,
                    const std::string& batch);

/// The record that a device gets from its batch.
protocol::device_secret_record device_of(const crypto::suite& s, const protocol::batch_record& batch,
                                         const entity_id& entity);
/// Entity IDs of one batch, from one to another one, at most `most`: both are in one range of the batch. wire_grammar,
/// config_range.
result<protocol::entity_series> devices_between(const protocol::batch_record& batch, const std::string& from,
                                                const std::string& to, std::uint64_t most);
/// The column names of a list of devices, as a line.
inline constexpr std::string_view batch_list_head = "entity_id,temporary_key,strength\n";
/// Devices in one answer of an export.
inline constexpr std::uint64_t batch_export_max = 10'000;
/// A line for each of the devices: a list as `cpns device import` reads it, after the line batch_list_head.
secret_bytes batch_list(const crypto::suite& s, const protocol::batch_record& batch,
                        protocol::entity_series devices);

/// {"batch", "entities", "created"}: never the key.
boost::json::object view_of(const protocol::batch_record& r);
/// {"batches": [...], "next": NAME or null, "unreadable": N}.
boost::json::object batches_page(const batch_book& book, const page_asked& asked, std::string_view prefix);

}  // namespace cpns::server
