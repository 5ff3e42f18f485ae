#include "cli/rewrap.hpp"

#include <boost/json.hpp>
#include <memory>
#include <optional>
#include <vector>

#include "actors/key_source.hpp"
#include "actors/pne/key_files.hpp"
#include "cli/audited.hpp"
#include "cli/rewrap_report.hpp"
#include "cli/stores.hpp"
#include "config/describe.hpp"
#include "config/loader.hpp"
#include "storage/data_key.hpp"
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
  out.places.push_back(storage::data_key_of(*out.store, place_of_store(c)));
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
  if (auto audit = anchor_key_place(c)) out.push_back(std::move(*audit));
  return out;
}

result<role_keys> keys_of(const config::pne_config& c) {
  role_keys out;
  for (const auto& lock : locks_of(c)) {
    if (!is_there(lock.file.parent_path())) continue;  // the role makes the folder, or cannot start
    CPNS_TRY(auto held,
             unless_running(storage::hold_lock(lock.file, lock.resource), lock.resource.string(), "PNE"));
    out.locks.push_back(std::move(held));
  }
  CPNS_TRY(out.places, places_of(c));
  return out;
}

/// The trail of a role whose keys are open, and the sealed store in which it lies.
struct open_audit {
  std::unique_ptr<storage::sealed_store> store;
  std::unique_ptr<audit::trail> trail;
};

struct subject {
  config::role_kind role{};
  config::protector_config protector;
  std::string place;
  std::function<result<role_keys>()> open;
  std::function<result<open_audit>(role_keys&, const storage::key_protector&)> audit;
};

bool opens_any(const std::vector<storage::key_place>& places, const storage::key_protector& protector) {
  for (const auto& place : places) {
    const auto wrapped = place.read();
    if (wrapped && *wrapped && protector.unwrap(**wrapped, place.purpose)) return true;
  }
  return false;
}

result<subject> load(const fs::path& file) {
  auto checked = config::check_file(file);
  if (!checked) return fail(checked.error().as_error());
  subject out;
  out.role = checked->role;
  std::visit(
      [&out](auto& c) {
        out.protector = c.protector;
        out.place = place_of(c);
        if constexpr (requires { c.store; }) {
          out.open = [store = c.store, role = out.role] { return keys_of(store, config::word_of(role)); };
          out.audit = [c](role_keys& keys, const storage::key_protector& p) -> result<open_audit> {
            open_audit opened;
            CPNS_TRY(opened.store, storage::sealed_store::open(*keys.store, p, crypto::system_entropy()));
            CPNS_TRY(opened.trail, open_trail(c, *opened.store));
            return opened;
          };
        } else {
          out.open = [c] { return keys_of(c); };
          out.audit = [c](role_keys&, const storage::key_protector& p) -> result<open_audit> {
            open_audit opened;
            CPNS_TRY(opened.trail, open_trail(c, p));
            return opened;
          };
        }
      },
      checked->config);
  return out;
}

boost::json::object wanted_state(const rewrap_options& o, const subject& s) {
  using config::protector_kind;
  if (o.in_place) {
    auto out = state_of(s.protector);
    out["in_place"] = true;
    return out;
  }
  const bool passphrase = o.new_file.empty();
  return state_of({passphrase ? protector_kind::passphrase : protector_kind::file,
                   fs::absolute(passphrase ? o.new_passphrase_file : o.new_file).lexically_normal()});
}

/// The lines of one rewrap in the audit trail.
class rewrap_audit {
 public:
  /// The trail opens with the old key, or with the new one if an earlier call was interrupted. If none of them opens
  /// it, the change fails before anything is changed.
  status begin(const rewrap_options& o, const subject& s, role_keys& keys, const storage::key_protector& from,
               const storage::key_protector* to) {
    const auto* key = opens_any(keys.places, from)                   ? &from
                      : to != nullptr && opens_any(keys.places, *to) ? to
                                                                     : nullptr;
    if (key == nullptr) return {};
    auto opened = s.audit(keys, *key);
    if (!opened && opened.error() == errc::store_key && key == &from && to != nullptr)
      opened = s.audit(keys, *to);
    if (!opened) return fail(opened.error());
    open_ = std::move(*opened);
    CPNS_TRY(ticket_, open_.trail->begin(change_by_command("store-rewrap", s.place, state_of(s.protector),
                                                           wanted_state(o, s))));
    return {};
  }
  void finish(const result<storage::key_change>& done) {
    if (!open_.trail) return;
    auto became = audit::outcome_of(done);
    if (done)
      became.after =
          boost::json::object{{"rewrapped", done->keys.rewrapped}, {"already", done->keys.already}};
    static_cast<void>(open_.trail->finish(std::move(ticket_), became));
  }

 private:
  open_audit open_;  ///< empty until the intent is recorded
  audit::ticket ticket_;
};

}  // namespace

std::string place_of(const config::server_config& c) { return c.store.path.string(); }
std::string place_of(const config::gateway_config& c) { return c.store.path.string(); }
std::string place_of(const config::pne_config& c) {
  return (c.keys_dir.empty() && !c.devices.empty() ? c.devices.front().key_file : c.keys_dir).string();
}

result<rewrap_outcome> rewrap_role(const rewrap_options& o) {
  storage::new_key wanted{.new_file = o.new_file,
                          .new_passphrase_file = o.new_passphrase_file,
                          .in_place = o.in_place,
                          .progress = o.progress,
                          .at = o.at};
  CPNS_CHECK(storage::check(wanted));
  CPNS_TRY(auto s, load(o.config));
  CPNS_TRY(auto keys, s.open());  // locked until the last step
  rewrap_audit lines;
  wanted.begin = [&](const storage::key_protector& from, const storage::key_protector* to) {
    return lines.begin(o, s, keys, from, to);
  };
  storage::key_changer changer(actors::key_source_of(s.protector), keys.places, s.place,
                               std::string(config::word_of(s.role)));
  auto changed = changer.change(wanted);
  lines.finish(changed);
  CPNS_TRY(const auto done, std::move(changed));
  return outcome_of_change(s.role, s.place, done);
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
