#include "cli/audited.hpp"

#include <boost/json.hpp>

#include "actors/pne/key_files.hpp"
#include "audit/gateway_states.hpp"
#include "audit/server_states.hpp"
#include "cli/migrate.hpp"
#include "cli/restored.hpp"
#include "cli/transfer.hpp"
#include "config/describe.hpp"
#include "crypto/suite.hpp"
#include "storage/file.hpp"
#include "storage/secret_file.hpp"

namespace cpns::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* audit_key_purpose = "pne audit";

/// The sealed file of a PNE's chain, and the file of its data key.
struct anchor_files {
  fs::path head, key;
  const char* key_purpose;
};

anchor_files anchor_files_of(const config::pne_config& c) {
  if (!c.keys_dir.empty())
    return {c.keys_dir / "audit.head", actors::shared_key_file(c.keys_dir), actors::shared_key_purpose};
  const auto beside = c.devices.front().key_file.string();
  return {beside + ".audit.head", beside + ".audit.key", audit_key_purpose};
}

result<std::unique_ptr<audit::anchor>> pne_anchor(const config::pne_config& c,
                                                  const storage::key_protector& protector) {
  auto& random = crypto::system_entropy();
  const auto files = anchor_files_of(c);
  CPNS_TRY(const auto key, storage::open_data_key(files.key, files.key_purpose, protector, random));
  return audit::file_anchor(
      storage::sealed_file::with_data_key(files.head, audit::file_anchor_purpose, key, random));
}

bool is_on_disk(const fs::path& p) {
  std::error_code ec;
  return fs::exists(fs::symlink_status(p, ec));
}

tl::unexpected<error> cannot_open(const fs::path& file, error e) {
  if (fault_of(e.code) == fault::config || e == errc::store_locked) e.detail = "'audit.file': " + e.detail;
  if (e == errc::store_damaged || e == errc::store_sealed)
    e.detail = "the audit trail in " + file.string() + ": " + e.detail;
  return fail(std::move(e));
}

result<std::unique_ptr<audit::trail>>
opened_trail(const fs::path& file, std::unique_ptr<audit::anchor> anchor, const audit::resolver& resolve) {
  auto trail = audit::trail::open(file, std::move(anchor), crypto::system_entropy(), resolve);
  if (!trail) return cannot_open(file, trail.error());
  return trail;
}

audit::outcome resolve_elsewhere(const audit::unfinished& u) {
  if (u.action == "store-rewrap" || u.action == store_migrate)
    return {audit::verdict::unknown,
            "`cpns store " + u.action.substr(6) + "` was interrupted; a repetition finishes it"};
  return {audit::verdict::unknown, "the process ended before it wrote the outcome"};
}

audit::resolver resolver_with_rewrap(audit::resolver in_store) {
  return [in_store = std::move(in_store)](const audit::unfinished& u) {
    const bool elsewhere = u.action == "store-rewrap" || u.action == store_migrate;
    return elsewhere ? resolve_elsewhere(u) : in_store(u);
  };
}

tl::unexpected<error> while_running(const error& e, config::role_kind role) {
  if (e != errc::store_locked) return fail(e);
  const auto name = std::string(config::word_of(role));
  return fail(errc::store_locked,
              e.detail + ". The " + name +
                  " is running and holds the key of its trail; stop it and repeat the command");
}

template <class Config>
status load_from_store(const Config& c, role_chain& out) {
  out.file = c.audit.file;
  // Opening would create a store.
  std::error_code ec;
  if (c.store.kind == config::store_kind::memory || !is_on_disk(c.store.path) ||
      fs::is_empty(c.store.path, ec))
    return {};
  auto opened = opened_store::open(c.store, c.protector);
  if (!opened) return while_running(opened.error(), out.role);
  out.store = std::move(*opened);
  CPNS_TRY(out.chain, chain_anchor(c, out.store->sealed())->load());
  return {};
}

status load_from_files(const config::pne_config& c, role_chain& out) {
  out.file = c.audit.file;
  for (const auto& lock : locks_of(c)) {
    if (!is_on_disk(lock.file.parent_path())) continue;  // the role makes the folder, or cannot start
    auto held = storage::hold_lock(lock.file, lock.resource);
    if (!held) return while_running(held.error(), out.role);
    out.locks.push_back(std::move(*held));
  }
  const auto files = anchor_files_of(c);
  if (!is_on_disk(files.key) || !is_on_disk(files.head)) return {};
  CPNS_TRY(const auto protector, open_protector(c.protector));
  CPNS_TRY(const auto anchor, pne_anchor(c, *protector));
  CPNS_TRY(out.chain, anchor->load());
  return {};
}

/// By its code, which has the name of an errc.
bool may_be_done(const api::problem& p) {
  for (const auto code : audit::may_be_done_errors)
    if (p.code == api::problem{error{code}}.code) return true;
  return false;
}

}  // namespace

std::unique_ptr<audit::anchor> chain_anchor(const config::server_config& c, storage::sealed_store& store) {
  return audit::store_anchor(store, c.store.kind == config::store_kind::postgresql ? c.name : std::string{});
}
std::unique_ptr<audit::anchor> chain_anchor(const config::gateway_config&, storage::sealed_store& store) {
  return audit::store_anchor(store);
}

audit::verdict verdict_of(const api::problem& p) {
  if (may_be_done(p)) return audit::verdict::unknown;
  return p.status >= 500 ? audit::verdict::failed : audit::verdict::refused;
}

result<std::unique_ptr<audit::trail>> open_trail(const config::server_config& c,
                                                 storage::sealed_store& store) {
  return opened_trail(
      c.audit.file, chain_anchor(c, store),
      [&store, in_store = resolver_with_rewrap(audit::resolve_in_store(store))](const auto& u) {
        if (u.action == store_export) return resolve_export(u);
        if (u.action == store_import) return resolve_import(store, u);
        return u.action == store_restored ? resolve_restored(store, u) : in_store(u);
      });
}
result<std::unique_ptr<audit::trail>> open_trail(const config::gateway_config& c,
                                                 storage::sealed_store& store) {
  return opened_trail(c.audit.file, chain_anchor(c, store),
                      resolver_with_rewrap(audit::resolve_in_gateway_store(store)));
}
result<std::unique_ptr<audit::trail>> open_trail(const config::pne_config& c,
                                                 const storage::key_protector& protector) {
  if (c.audit.file.empty()) return opened_trail({}, nullptr, resolve_elsewhere);
  CPNS_TRY(auto anchor, pne_anchor(c, protector));
  return opened_trail(c.audit.file, std::move(anchor), resolve_elsewhere);
}

std::vector<pne_lock> locks_of(const config::pne_config& c) {
  std::vector<pne_lock> out;
  if (!c.keys_dir.empty()) out.push_back({actors::lock_of_folder(c.keys_dir), c.keys_dir});
  for (const auto& d : c.devices) out.push_back({actors::lock_of_file(d.key_file), d.key_file});
  return out;
}

std::optional<storage::key_place> anchor_key_place(const config::pne_config& c) {
  if (!c.keys_dir.empty()) return std::nullopt;
  const auto files = anchor_files_of(c);
  return storage::data_key_file_place(files.key, files.key_purpose);
}

result<audited_server> open_audited_server(const fs::path& config_file) {
  const auto c = config::load_server(config_file);
  if (!c) return fail(c.error().as_error());
  CPNS_TRY(auto store, open_server_store(*c));
  audited_server out{std::move(store), nullptr};
  CPNS_TRY(out.trail, open_trail(*c, out.store.sealed()));
  return out;
}

audit::change change_by_command(const char* action, std::string object, boost::json::value before,
                                boost::json::value after) {
  return {audit::this_process(), audit::channel::command, {}, action, std::move(object),
          std::move(before),     std::move(after)};
}

result<role_chain> load_chain(const fs::path& config_file) {
  const auto checked = config::check_file(config_file);
  if (!checked) return fail(checked.error().as_error());
  role_chain out;
  out.role = checked->role;
  CPNS_CHECK(std::visit(
      [&out](const auto& c) -> status {
        if constexpr (requires { c.store; })
          return load_from_store(c, out);
        else
          return load_from_files(c, out);
      },
      checked->config));
  return out;
}

}  // namespace cpns::cli
