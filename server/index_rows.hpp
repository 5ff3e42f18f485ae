#pragma once
// The rows of the table `indexes` of a server: without them a list of the entities of one owner has to decrypt every
// entity. Each row says that an entity has an owner or a holder, or a device an owner or a batch.
//
// The row is written with the row that it lists, in one batch, if it is absent. So a row that is listed has its index row
// after any crash and any race. The reverse does not hold: when a holder changes, its index row stays. A list compares
// each row with the record, and drops a stale one in a batch that also writes the record again, unchanged: a server that wrote
// the record meanwhile wins, and the index row stays.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "protocol/server/records.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::server {

// The groups of the indexes.
storage::index_group entities_of_owner(const user_id& owner);
storage::index_group entities_of_holder(const gateway_id& holder);
storage::index_group devices_of_owner(const user_id& owner);
storage::index_group devices_of_batch(const std::string& batch);
/// Those that a record is a member of.
std::vector<storage::index_group> groups_of(const protocol::entity_record& r);
std::vector<storage::index_group> groups_of(const protocol::device_secret_record& r);

/// The table of the members of a group; nullopt: no index of this release has this number.
std::optional<storage::table> table_of(const storage::index_group& g);
bool is_member(const protocol::entity_record& r, const storage::index_group& g);
bool is_member(const protocol::device_secret_record& r, const storage::index_group& g);

/// Adds the index rows of a row to the batch that writes it.
void add_index_rows(storage::sealed_batch& to, const protocol::device_secret_record& r);
/// Those that `before`, the record that is stored, does not have. `read_at`: sealed_value::read_at of the row of `before`, if
/// that did not exist then; so its index rows did not either, and some engines need not look for them. 0: not known.
void add_index_rows(storage::sealed_batch& to, const protocol::entity_record& r,
                    const protocol::entity_record& before = {}, std::uint64_t read_at = 0);

/// True once every row of entities and devices has its index rows (index_build.hpp). Until then lists scan the table.
result<bool> index_complete(const storage::sealed_store& store);
/// The op that makes it so.
storage::sealed_op index_complete_op();

/// Writes a batch that drops a stale row, later, or never if it fails. Empty: stale rows stay.
using stale_row_sink = std::function<void(storage::sealed_batch)>;

/// A member of a group with its row.
struct listed_row {
  storage::group_member member;
  storage::sealed_value row;
};
/// Reads the rows of members from the table `t`. Those that cannot be read are reported to `damaged` and left out.
std::vector<listed_row> read_members(const storage::sealed_store& store, storage::table t,
                                     std::vector<storage::group_member> members,
                                     const storage::damage_visitor& damaged);
/// Drops the index row of a member of `group` whose record is not one of its members.
storage::sealed_batch drop_of(storage::table t, const storage::index_group& group, const listed_row& stale);

}  // namespace cpns::server
