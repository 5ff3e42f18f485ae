#include "server/store_transfer.hpp"

#include <algorithm>
#include <utility>

#include "protocol/server/import_records.hpp"
#include "server/import_store.hpp"
#include "server/index_rows.hpp"
#include "server/node_row.hpp"
#include "server/store_check.hpp"
#include "server/unfinished_import.hpp"

namespace cpns::server {
namespace {

using storage::table;

/// With `meta`, of which one row is moved.
constexpr table moved_tables[] = {table::users, table::devices, table::batches, table::entities,
                                  table::gateways};
constexpr std::size_t read_at_once = 256;
/// Rows between two calls of progress.
constexpr std::uint64_t told_every = 500;

bool is_moved(table t) {
  return std::find(std::begin(moved_tables), std::end(moved_tables), t) != std::end(moved_tables);
}

tl::unexpected<error> stopped() { return fail(errc::state_stopping); }

/// A decided import of devices has a part of its rows in the table `imports` until it is done.
status check_no_import_runs(const storage::sealed_store& store) {
  // It only reads.
  const import_store imports(const_cast<storage::sealed_store&>(store));
  CPNS_TRY(const auto names, imports.names());
  for (const auto& name : names) {
    CPNS_TRY(const auto r, imports.find(name));
    if (r && r->state == protocol::import_state::importing)
      return fail(errc::state_conflict,
                  "the server has an import of devices in work (" + name +
                      "); start it, wait for the end of the import, stop it, and repeat the command");
  }
  return {};
}

status export_table(const storage::sealed_store& store, table t, storage::export_writer& to,
                    std::uint64_t& rows, const transfer_progress& progress) {
  status outcome;
  storage::page_end after{std::string{}};
  while (after) {
    CPNS_TRY(after, store.page(
                        t, *after, read_at_once,
                        [&](byte_view row, const secret_bytes& value) {
                          if (const auto good = decode_server_row(t, row, value); !good)
                            outcome = fail(errc::store_damaged, "row " + store.hidden_name(t, row) +
                                                                    " of table " + std::string{name_of(t)} +
                                                                    ": " + good.error().detail);
                          else
                            outcome = to.add({t, to_bytes(row), value});
                          return outcome.has_value() && (++rows % told_every != 0 || progress(rows));
                        },
                        [&outcome](const error& e) {
                          if (outcome) outcome = fail(e);
                        }));
    CPNS_CHECK(outcome);
    if (!progress(rows)) return stopped();
  }
  return {};
}

/// Checks a row of a file, and takes the keys of the servers from it.
status look(const storage::exported_row& r, export_content& out) {
  ++out.counts[r.table];
  if (r.table == table::meta && equal(r.row, server_meta_row()) && !out.meta) {
    CPNS_TRY(out.meta, decode_server_meta(r.value.expose()));
    return {};
  }
  if (!is_moved(r.table))
    return fail(errc::store_damaged, "the file has a row of table " + std::string{name_of(r.table)} +
                                         " that is not moved between stores");
  const auto good = decode_server_row(r.table, r.row, r.value);
  if (good) return {};
  return fail(errc::store_damaged, "the file has a row of table " + std::string{name_of(r.table)} +
                                       " that this release cannot read: " + good.error().message());
}

status add_row(storage::sealed_batch& to, storage::exported_row r) {
  if (r.table == table::devices) {
    CPNS_TRY(const auto device, protocol::decode_device_secret_record(r.value.expose()));
    add_index_rows(to, device);
  } else if (r.table == table::entities) {
    CPNS_TRY(const auto entity, protocol::decode_entity_record(r.value.expose()));
    add_index_rows(to, entity);
  }
  to.push_back({r.table, std::move(r.row), std::move(r.value), 0});
  return {};
}

tl::unexpected<error> not_empty() {
  return fail(errc::state_exists,
              "rows in the store, and an import needs an empty one: name another folder or database");
}

/// A server that starts at the same time either sees the mark or has written its row before.
result<import_mark> begin(storage::sealed_store& store, const storage::export_header& file, bool begun) {
  if (!begun) {
    CPNS_TRY(const auto before, find_import_mark(store));
    CPNS_CHECK(store.write({set_import_mark(unfinished_import{file.id, 0}, before.version)}));
  }
  CPNS_TRY(const auto meta, find_meta(store));
  if (meta) return not_empty();
  return find_import_mark(store);
}

/// The batch of the last rows: the store is complete with it.
storage::sealed_batch end_of(const finished_import& done, const export_content& content, std::uint64_t mark) {
  storage::sealed_batch out{index_complete_op(), set_import_mark(std::nullopt, mark), op_of(done)};
  if (!content.meta) return out;
  auto meta = *content.meta;
  meta.incarnation = done.incarnation;
  out.push_back(op_of(meta));
  return out;
}

}  // namespace

result<seen_rows> rows_of_servers(const storage::sealed_store& store) {
  seen_rows out;
  if (!store.shared()) return out;
  std::vector<storage::row_name> names;
  CPNS_CHECK(store.scan(table::nodes, {}, [&](byte_view row, const secret_bytes&) {
    names.push_back({table::nodes, to_bytes(row)});
    return true;
  }));
  for (auto& row : store.read(names)) {
    if (!row) return fail(row.error());
    if (!row->value) continue;
    CPNS_TRY(const auto node, decode_node_row(row->value->expose()));
    if (node.state != node_state::stopped) out[node.name] = {row->version, node.address};
  }
  return out;
}

status check_silent(const storage::sealed_store& store, const seen_rows& before) {
  CPNS_TRY(const auto now, rows_of_servers(store));
  for (const auto& [name, row] : now) {
    const auto then = before.find(name);
    if (then != before.end() && then->second.version == row.version) continue;
    return fail(errc::state_conflict,
                "the server '" + name + "' at " + row.address +
                    " uses this database, and would change rows that are read already; stop each server, and "
                    "repeat the command");
  }
  return {};
}

status export_rows(const storage::sealed_store& store, storage::export_writer& to,
                   const transfer_progress& progress) {
  CPNS_CHECK(check_no_import_runs(store));
  std::uint64_t rows = 0;
  CPNS_TRY(auto meta, store.get(table::meta, server_meta_row()));
  if (meta) {
    CPNS_CHECK(decode_server_meta(meta->expose()));
    CPNS_CHECK(to.add({table::meta, server_meta_row(), std::move(*meta)}));
    ++rows;
  }
  for (const auto t : moved_tables) CPNS_CHECK(export_table(store, t, to, rows, progress));
  return {};
}

result<export_content> check_export(storage::export_reader& from, const transfer_progress& progress) {
  export_content out;
  CPNS_CHECK(from.rewind());
  while (true) {
    CPNS_TRY(const auto rows, from.next());
    if (!rows) return out;
    for (const auto& r : *rows) CPNS_CHECK(look(r, out));
    if (!progress(from.position())) return stopped();
  }
}

result<import_target> check_target(const storage::sealed_store& store, const storage::export_header& file) {
  CPNS_TRY(const auto mark, find_import_mark(store));
  if (mark.now && mark.now->file != file.id)
    return fail(errc::state_exists,
                "a part of another file (file id " + to_hex(mark.now->file) + ", this one has " +
                    to_hex(file.id) +
                    "); repeat the import of that file, or name another folder or database");
  if (mark.now) return import_target{true, {}};
  CPNS_TRY(const auto done, find_finished_import(store));
  if (done && done->file == file.id) return import_target{false, done->incarnation};
  for (const auto t : storage::all_tables) {
    if (t == table::meta) continue;
    CPNS_TRY(const auto first, store.under().slice(t, {}, 1));
    if (!first.empty()) return not_empty();
  }
  CPNS_TRY(const auto meta, find_meta(store));
  if (meta) return not_empty();
  return import_target{};
}

result<std::uint64_t> import_rows(storage::sealed_store& store, storage::export_reader& from,
                                  const export_content& content, const transfer_progress& progress) {
  CPNS_TRY(const auto target, check_target(store, from.header()));
  if (target.finished) return *target.finished;
  CPNS_TRY(auto mark, begin(store, from.header(), target.begun));
  if (!mark.now) return fail(errc::store_damaged, "the store lost the mark of the import");
  CPNS_CHECK(from.rewind());
  while (true) {
    if (!progress(from.position())) return stopped();
    CPNS_TRY(auto rows, from.next());
    if (!rows) break;
    if (from.chunk() <= mark.now->chunks) continue;
    storage::sealed_batch batch;
    for (auto& r : *rows)
      if (r.table != table::meta) CPNS_CHECK(add_row(batch, std::move(r)));
    mark.now->chunks = from.chunk();
    batch.push_back(set_import_mark(mark.now, mark.version++));
    CPNS_CHECK(store.write(batch));
  }
  const finished_import done{from.header().id, content.meta ? content.meta->incarnation + 1 : 0};
  CPNS_CHECK(store.write(end_of(done, content, mark.version)));
  return done.incarnation;
}

}  // namespace cpns::server
