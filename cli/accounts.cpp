#include "cli/accounts.hpp"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "cli/key_text.hpp"
#include "crypto/scram.hpp"

namespace cpns::cli {
namespace {

using storage::sealed_batch;
using storage::sealed_op;
using storage::table;

bytes row_of(const user_id& user) { return to_bytes(as_bytes(user.text())); }
bytes row_of(const entity_id& entity) { return to_bytes(as_bytes(entity.text())); }

result<bool> has_user(const storage::sealed_store& store, const user_id& user) {
  CPNS_TRY(const auto found, store.get(table::users, row_of(user)));
  return found.has_value();
}

template <class Record>
result<std::vector<Record>> read_all(const storage::sealed_store& store, table t,
                                     result<Record> (*decode)(byte_view)) {
  std::vector<Record> out;
  status damaged;
  CPNS_CHECK(store.scan(t, {}, [&](byte_view, const secret_bytes& value) {
    auto record = decode(value.expose());
    if (!record) {
      damaged = fail(std::move(record).error());
      return false;
    }
    out.push_back(std::move(*record));
    return true;
  }));
  CPNS_CHECK(std::move(damaged));
  return out;
}

/// For each row whose key another row has, too: the line of another one.
using shared_keys = std::unordered_map<const device_row*, std::size_t>;

shared_keys find_shared_keys(const std::vector<device_row>& rows) {
  std::unordered_map<std::string_view, const device_row*> first;  // the keys stay where they are
  shared_keys out;
  for (const auto& row : rows) {
    const auto [it, fresh] = first.emplace(as_text(row.temporary_key.expose()), &row);
    if (fresh) continue;
    out.emplace(&row, it->second->line);
    out.emplace(it->second, row.line);
  }
  return out;
}

/// Why a row is not imported, or nothing.
result<std::string> unfit(const storage::sealed_store& store, const device_row& row,
                          const import_options& options, const shared_keys& shared) {
  CPNS_TRY(const auto found, store.get(table::devices, row_of(row.entity)));
  if (found && !options.replace) return std::string{"the device is in the store already"};
  if (!options.allow_constant && is_constant_key(row.temporary_key.expose(), row.stretch))
    return std::string{"the temporary key is a constant that anybody guesses; --allow-constant takes it"};
  if (const auto it = shared.find(&row); it != shared.end())
    return "the device in line " + std::to_string(it->second) +
           " has the same temporary key, so who opens one device has both; --allow-repeats takes it";
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
      CPNS_TRY(const bool there, has_user(store, *row->owner));
      it = known.emplace(*row->owner, there).first;
    }
    if (!it->second)
      out.push_back(
          {row->line, row->entity.text(),
           "warning: the owner " + row->owner->text() +
               " is not a user of this server; `cpns user add` makes one, until then nobody gets keys "
               "for the device"});
  }
  return out;
}

}  // namespace

protocol::user_record make_user(const crypto::suite& s, entropy& random, const user_id& user,
                                const secret_bytes& password, time_point now) {
  protocol::user_record r;
  r.user = user;
  r.salt = random.draw<16>();
  r.iterations = crypto::scram_iterations_default;
  r.stored_key =
      crypto::scram_stored_key(s, crypto::scram_client_key(s, password.expose(), r.salt, r.iterations));
  r.created = unix_seconds(now);
  return r;
}

status add_user(storage::sealed_store& store, const protocol::user_record& user) {
  CPNS_TRY(const bool there, has_user(store, user.user));
  if (there)
    return fail(errc::state_exists,
                "the user " + user.user.text() + "; `cpns user passwd` changes the password");
  return store.write({sealed_op{table::users, row_of(user.user), protocol::encode(user)}});
}

status change_user(storage::sealed_store& store, protocol::user_record user) {
  CPNS_TRY(const auto found, store.get(table::users, row_of(user.user)));
  if (!found) return fail(errc::state_unknown, "the user " + user.user.text());
  CPNS_TRY(const auto before, protocol::decode_user_record(found->expose()));
  user.created = before.created;
  return store.write({sealed_op{table::users, row_of(user.user), protocol::encode(user)}});
}

status remove_user(storage::sealed_store& store, const user_id& user) {
  CPNS_TRY(const bool there, has_user(store, user));
  if (!there) return fail(errc::state_unknown, "the user " + user.text());
  return store.write({sealed_op{table::users, row_of(user), std::nullopt}});
}

result<std::vector<protocol::user_record>> list_users(const storage::sealed_store& store) {
  CPNS_TRY(auto all, read_all(store, table::users, protocol::decode_user_record));
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.user < b.user; });
  return all;
}

result<import_report> import_devices(storage::sealed_store& store, const crypto::suite& s, device_rows rows,
                                     const import_options& options,
                                     const std::function<void(std::size_t)>& progress) {
  import_report report;
  report.bad = std::move(rows.bad);
  std::vector<const device_row*> fresh;
  const auto shared = options.allow_repeats ? shared_keys{} : find_shared_keys(rows.good);
  for (const auto& row : rows.good) {
    CPNS_TRY(auto wrong, unfit(store, row, options, shared));
    if (wrong.empty())
      fresh.push_back(&row);
    else
      report.bad.push_back({row.line, row.entity.text(), std::move(wrong)});
  }
  std::stable_sort(report.bad.begin(), report.bad.end(),
                   [](const auto& a, const auto& b) { return a.line < b.line; });
  if (!report.bad.empty() && !options.partial) return report;
  CPNS_TRY(report.remarks, unknown_owners(store, fresh));

  // One batch, whatever its size (device_rows_max bounds it): all rows or none also when the power fails.
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
    if (progress) progress(batch.size());
  }
  if (!batch.empty()) CPNS_CHECK(store.write(batch));
  report.imported = batch.size();
  return report;
}

result<std::optional<protocol::device_secret_record>> find_device(const storage::sealed_store& store,
                                                                  const entity_id& entity) {
  CPNS_TRY(const auto found, store.get(table::devices, row_of(entity)));
  if (!found) return std::optional<protocol::device_secret_record>{};
  CPNS_TRY(auto record, protocol::decode_device_secret_record(found->expose()));
  return std::optional{std::move(record)};
}

result<std::vector<protocol::device_secret_record>> list_devices(const storage::sealed_store& store) {
  CPNS_TRY(auto all, read_all(store, table::devices, protocol::decode_device_secret_record));
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.entity < b.entity; });
  return all;
}

}  // namespace cpns::cli
