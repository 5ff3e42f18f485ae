#include "cli/stores.hpp"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "actors/key_source.hpp"
#include "base/text.hpp"
#include "cli/key_text.hpp"
#include "cli/terminal.hpp"
#include "config/describe.hpp"
#include "config/loader.hpp"
#include "storage/memory_store.hpp"
#include "storage/rocksdb_store.hpp"

namespace cpns::cli {
namespace {

using storage::sealed_batch;
using storage::table;

bytes row_of(const user_id& user) { return to_bytes(as_bytes(user.text())); }
bytes row_of(const entity_id& entity) { return to_bytes(as_bytes(entity.text())); }

result<bool> has_user(const storage::sealed_store& store, const user_id& user) {
  CPNS_TRY(const auto found, store.get(table::users, row_of(user)));
  return found.has_value();
}

/// For each row that shares its key: the line of another row with that key.
using shared_keys = std::unordered_map<const device_row*, std::size_t>;

shared_keys find_shared_keys(const std::vector<device_row>& rows) {
  std::unordered_map<std::string_view, const device_row*> first;  // views into `rows`
  shared_keys out;
  for (const auto& row : rows) {
    const auto [it, fresh] = first.emplace(as_text(row.temporary_key.expose()), &row);
    if (fresh) continue;
    out.emplace(&row, it->second->line);
    out.emplace(it->second, row.line);
  }
  return out;
}

/// Why a row is not imported, or an empty text.
result<std::string> why_refused(const storage::sealed_store& store, const device_row& row,
                                const import_options& options, const shared_keys& shared) {
  CPNS_TRY(const auto found, store.get(table::devices, row_of(row.entity)));
  if (found && !options.replace)
    return std::string{"the device is already in the store; --replace gives it the new key"};
  if (!options.allow_constant && is_constant_key(row.temporary_key.expose(), row.stretch))
    return std::string{
        "the temporary key is a constant, which is easy to guess; --allow-constant accepts it"};
  if (const auto it = shared.find(&row); it != shared.end())
    return "the device in line " + std::to_string(it->second) +
           " has the same temporary key: the key of one opens both; --allow-repeats accepts it";
  return std::string{};
}

result<std::vector<row_diagnostic>> unknown_owners(const storage::sealed_store& store,
                                                   const std::vector<const device_row*>& rows) {
  std::map<user_id, bool> known;
  std::vector<row_diagnostic> out;
  for (const auto* row : rows) {
    if (!row->owner) continue;
    auto it = known.find(*row->owner);
    if (it == known.end()) {
      CPNS_TRY(const bool exists, has_user(store, *row->owner));
      it = known.emplace(*row->owner, exists).first;
    }
    if (!it->second)
      out.push_back({row->line, row->entity.text(),
                     "warning: the owner " + row->owner->text() +
                         " is not a user of this server; until `cpns user add` adds it, no gateway gets keys "
                         "for the device"});
  }
  return out;
}

/// `e`, with the cause if `cpns store rewrap --in-place` was interrupted.
error with_rewrap_hint(error e, storage::store& under, const config::protector_config& c) {
  if (c.kind != config::protector_kind::file || e.code != errc::store_key) return e;
  const auto next = storage::next_key_file(c.file);
  const auto key = storage::open_key_file(next);
  if (key && storage::sealed_store::open(under, **key, crypto::system_entropy()))
    e.detail += "; " + storage::interrupted_rewrap(next);
  return e;
}

}  // namespace

result<std::unique_ptr<storage::key_protector>> open_protector(const config::protector_config& c) {
  return storage::open_protector(actors::key_source_of(c));
}

result<std::unique_ptr<storage::store>> open_raw_store(const config::store_config& c) {
  if (c.kind == config::store_kind::rocksdb) return storage::open_rocksdb_store(c.path, c.give_up_after);
  return std::unique_ptr<storage::store>(std::make_unique<storage::memory_store>());
}

result<opened_store> opened_store::open(const config::store_config& store,
                                        const config::protector_config& protector, config::role_kind role) {
  opened_store out;
  CPNS_TRY(const auto key, open_protector(protector));
  CPNS_TRY(out.under_, open_raw_store(store));
  auto sealed = storage::sealed_store::open(*out.under_, *key, crypto::system_entropy());
  if (!sealed) return fail(with_rewrap_hint(std::move(sealed).error(), *out.under_, protector));
  out.sealed_ = std::move(*sealed);
  std::vector<storage::key_place> places;
  if (store.kind == config::store_kind::rocksdb) places.push_back(out.sealed_->data_key(store.path.string()));
  out.keys_ = std::make_unique<storage::key_changer>(actors::key_source_of(protector), std::move(places),
                                                     store.path.string(), std::string{config::word_of(role)});
  return out;
}

result<opened_store> open_server_store(const config::server_config& c) {
  if (c.store.kind == config::store_kind::memory)
    return fail(
        errc::config_usage,
        "this server keeps its store in memory, which only the running server sees; set store.kind to "
        "rocksdb");
  auto opened = opened_store::open(c.store, c.protector);
  if (!opened && opened.error().code == errc::store_locked)
    return fail(errc::store_locked,
                c.store.path.string() +
                    ": the server is running; stop it, repeat the command, start it again");
  return opened;
}

result<opened_store> open_server_store(const std::filesystem::path& config_file) {
  const auto c = config::load_server(config_file);
  if (!c) return fail(c.error().as_error());
  return open_server_store(*c);
}

result<import_report> import_devices(storage::sealed_store& store, const crypto::suite& s, device_rows rows,
                                     const import_options& options) {
  import_report report;
  report.bad = std::move(rows.bad);
  std::vector<const device_row*> fresh;
  const auto shared = options.allow_repeats ? shared_keys{} : find_shared_keys(rows.good);
  for (const auto& row : rows.good) {
    CPNS_TRY(auto wrong, why_refused(store, row, options, shared));
    if (wrong.empty())
      fresh.push_back(&row);
    else
      report.bad.push_back({row.line, row.entity.text(), std::move(wrong)});
  }
  std::stable_sort(report.bad.begin(), report.bad.end(),
                   [](const auto& a, const auto& b) { return a.line < b.line; });
  if (!report.bad.empty() && !options.partial) return report;
  CPNS_TRY(report.remarks, unknown_owners(store, fresh));

  // One batch, which device_rows_max bounds: all rows or none, even when the power fails.
  sealed_batch batch;
  batch.reserve(fresh.size());
  for (const auto* row : fresh) {
    protocol::device_secret_record r;
    r.entity = row->entity;
    r.temporary_key = kept_key(s, *row);
    r.stretched = row->stretch;
    r.require_presence = options.require_presence;
    r.owner = row->owner;
    r.batch = options.batch;
    batch.push_back({table::devices, row_of(r.entity), protocol::encode(r)});
  }
  if (!batch.empty()) CPNS_CHECK(store.write(batch));
  report.imported = batch.size();
  return report;
}

}  // namespace cpns::cli
