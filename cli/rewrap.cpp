#include "cli/rewrap.hpp"

#include <memory>
#include <optional>
#include <vector>

#include "actors/key_source.hpp"
#include "actors/pne/key_files.hpp"
#include "cli/stores.hpp"
#include "config/describe.hpp"
#include "config/loader.hpp"
#include "storage/file.hpp"
#include "storage/sealed_store.hpp"
#include "storage/secret_file.hpp"

namespace cpns::cli {
namespace {

namespace fs = std::filesystem;

/// The data keys of a stopped role, locked against its start.
struct role_keys {
  std::unique_ptr<storage::store> store;
  std::vector<descriptor> locks;
  std::vector<storage::key_place> places;
};

bool is_there(const fs::path& p) {
  std::error_code ec;
  return fs::exists(fs::symlink_status(p, ec));
}

tl::unexpected<error> running(const std::string& place, std::string_view role) {
  return fail(errc::store_locked, place + ": the " + std::string(role) +
                                      " is running, and its key cannot be changed meanwhile; stop it, "
                                      "repeat the command, start it again");
}

/// `r`, with the advice to stop the role if it holds the lock.
template <class T>
result<T> unless_running(result<T> r, const std::string& place, std::string_view role) {
  if (!r && r.error() == errc::store_locked) return running(place, role);
  return r;
}

result<role_keys> keys_of(const config::store_config& c, std::string_view role) {
  if (c.kind == config::store_kind::memory) return role_keys{};  // refused by the changer
  // Opening would create a store.
  std::error_code ec;
  if (!is_there(c.path) || fs::is_empty(c.path, ec)) return storage::nothing_to_rewrap(c.path.string());
  role_keys out;
  CPNS_TRY(out.store, unless_running(open_raw_store(c), c.path.string(), role));
  out.places.push_back(storage::data_key_of(*out.store, c.path.string()));
  return out;
}

/// Of a configuration that was loaded, whose Entity IDs are valid.
result<std::vector<storage::key_place>> places_of(const config::pne_config& c) {
  std::vector<storage::key_place> out;
  if (!c.keys_dir.empty())
    out.push_back(
        storage::data_key_file_place(actors::shared_key_file(c.keys_dir), actors::shared_key_purpose));
  for (const auto& d : c.devices) {
    CPNS_TRY(const auto entity, entity_id::parse(d.entity));
    out.push_back(storage::sealed_file_place(d.key_file, actors::key_file_purpose(entity)));
  }
  return out;
}

result<role_keys> keys_of(const config::pne_config& c) {
  role_keys out;
  const auto claim = [&out](const fs::path& lock, const fs::path& what) -> status {
    if (!is_there(lock.parent_path())) return {};  // the role makes the folder, or cannot start
    CPNS_TRY(auto held, unless_running(storage::hold_lock(lock, what), what.string(), "PNE"));
    out.locks.push_back(std::move(held));
    return {};
  };
  if (!c.keys_dir.empty()) CPNS_CHECK(claim(actors::lock_of_folder(c.keys_dir), c.keys_dir));
  for (const auto& d : c.devices) CPNS_CHECK(claim(actors::lock_of_file(d.key_file), d.key_file));
  CPNS_TRY(out.places, places_of(c));
  return out;
}

struct subject {
  config::role_kind role{};
  config::protector_config protector;
  std::string place;
  std::function<result<role_keys>()> open;
};

result<subject> load(const fs::path& file) {
  auto checked = config::check_file(file);
  if (!checked) return fail(checked.error().as_error());
  subject out;
  out.role = checked->role;
  std::visit(
      [&out](auto& c) {
        out.protector = c.protector;
        if constexpr (requires { c.store; }) {
          out.place = c.store.path.string();
          out.open = [store = c.store, role = out.role] { return keys_of(store, config::word_of(role)); };
        } else {
          out.place = (c.keys_dir.empty() ? c.devices.front().key_file : c.keys_dir).string();
          out.open = [c] { return keys_of(c); };
        }
      },
      checked->config);
  return out;
}

}  // namespace

result<rewrap_outcome> rewrap_role(const rewrap_options& o) {
  const storage::new_key wanted{o.new_file, o.new_passphrase_file, o.in_place, o.progress, o.at};
  CPNS_CHECK(storage::check(wanted));
  CPNS_TRY(auto s, load(o.config));
  CPNS_TRY(auto keys, s.open());  // locked until the last step
  storage::key_changer changer(actors::key_source_of(s.protector), keys.places, s.place,
                               std::string(config::word_of(s.role)));
  CPNS_TRY(auto done, changer.change(wanted));
  const auto as_config = [](const storage::key_source& k) {
    return config::protector_config{k.kind == storage::protector_kind::file
                                        ? config::protector_kind::file
                                        : config::protector_kind::passphrase,
                                    k.file};
  };
  return rewrap_outcome{s.role,       s.place,  as_config(done.before), as_config(done.now), done.key_made,
                        done.old_key, done.keys};
}

status check_rewrap_finished(const config::pne_config& c) {
  const auto next = storage::next_key_file(c.protector.file);
  if (!is_there(next)) return {};
  const auto key = storage::open_key_file(next);
  if (!key) return {};  // not a key that could have been used
  CPNS_TRY(const auto places, places_of(c));
  for (const auto& place : places) {
    const auto wrapped = place.read();
    if (!wrapped || !*wrapped) continue;  // the start of the role reports an unreadable file
    if ((*key)->unwrap(**wrapped, place.purpose))
      return fail(errc::store_key, place.name + ": " + storage::interrupted_rewrap(next));
  }
  return {};
}

}  // namespace cpns::cli
