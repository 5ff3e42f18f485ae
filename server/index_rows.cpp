#include "server/index_rows.hpp"

#include <algorithm>

#include "base/cbor.hpp"
#include "protocol/fields.hpp"

namespace cpns::server {
namespace {

using storage::index_group;
using storage::table;

/// Stored in names of rows: never reuse a number.
enum class row_index : std::uint64_t {
  entities_of_owner = 1,
  entities_of_holder = 2,
  devices_of_owner = 3,
  devices_of_batch = 4
};

constexpr std::string_view complete_row = "index rows";

index_group group(row_index i, byte_view name) { return {static_cast<std::uint64_t>(i), to_bytes(name)}; }

bool has(const std::vector<index_group>& all, const index_group& g) {
  return std::any_of(all.begin(), all.end(),
                     [&g](const index_group& a) { return a.index == g.index && a.name == g.name; });
}

void add(storage::sealed_batch& to, const index_group& g, const entity_id& member,
         std::uint64_t read_at = 0) {
  to.push_back({table::indexes, storage::index_row(g, as_bytes(member.text())), secret_bytes{}, std::nullopt,
                true, false, read_at});
}

}  // namespace

index_group entities_of_owner(const user_id& owner) {
  return group(row_index::entities_of_owner, as_bytes(owner.text()));
}
index_group entities_of_holder(const gateway_id& holder) {
  return group(row_index::entities_of_holder, holder.value);
}
index_group devices_of_owner(const user_id& owner) {
  return group(row_index::devices_of_owner, as_bytes(owner.text()));
}
index_group devices_of_batch(const std::string& batch) {
  // As a record stores it.
  return group(row_index::devices_of_batch, as_bytes(protocol::cut_text(batch, storage::index_group_max)));
}

std::vector<index_group> groups_of(const protocol::entity_record& r) {
  std::vector<index_group> out;
  if (r.owner) out.push_back(entities_of_owner(*r.owner));
  if (r.holder) out.push_back(entities_of_holder(*r.holder));
  return out;
}

std::vector<index_group> groups_of(const protocol::device_secret_record& r) {
  std::vector<index_group> out;
  if (r.owner) out.push_back(devices_of_owner(*r.owner));
  if (!r.batch.empty()) out.push_back(devices_of_batch(r.batch));
  return out;
}

std::optional<table> table_of(const index_group& g) {
  switch (static_cast<row_index>(g.index)) {
  case row_index::entities_of_owner:
  case row_index::entities_of_holder: return table::entities;
  case row_index::devices_of_owner:
  case row_index::devices_of_batch: return table::devices;
  }
  return std::nullopt;
}

bool is_member(const protocol::entity_record& r, const index_group& g) { return has(groups_of(r), g); }
bool is_member(const protocol::device_secret_record& r, const index_group& g) { return has(groups_of(r), g); }

void add_index_rows(storage::sealed_batch& to, const protocol::device_secret_record& r) {
  for (const auto& g : groups_of(r)) add(to, g, r.entity);
}

void add_index_rows(storage::sealed_batch& to, const protocol::entity_record& r,
                    const protocol::entity_record& before, std::uint64_t read_at) {
  const auto known = groups_of(before);
  for (const auto& g : groups_of(r))
    if (!has(known, g)) add(to, g, r.entity, read_at);
}

result<bool> index_complete(const storage::sealed_store& store) {
  return store.has(table::meta, as_bytes(complete_row));
}

storage::sealed_op index_complete_op() {
  return {table::meta, to_bytes(as_bytes(complete_row)),
          secret_bytes{cbor::writer().array(1).uint(1).take()}};
}

std::vector<listed_row> read_members(const storage::sealed_store& store, table t,
                                     std::vector<storage::group_member> members,
                                     const storage::damage_visitor& damaged) {
  std::vector<storage::row_name> names;
  names.reserve(members.size());
  for (const auto& m : members) names.push_back({t, m.member});
  auto rows = store.read(names);
  std::vector<listed_row> out;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i])
      out.push_back({std::move(members[i]), *std::move(rows[i])});
    else
      damaged(rows[i].error());
  }
  return out;
}

storage::sealed_batch drop_of(table t, const index_group& group, const listed_row& stale) {
  storage::sealed_batch out;
  out.push_back({t, stale.member.member, stale.row.value, stale.row.version});
  out.push_back(
      {table::indexes, storage::index_row(group, stale.member.member), std::nullopt, stale.member.version});
  return out;
}

}  // namespace cpns::server
