#include "cli/rewrap.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "actors/pne/key_files.hpp"
#include "base/private_file.hpp"
#include "cli/audited.hpp"
#include "cli/stores.hpp"
#include "config/describe.hpp"
#include "config/loader.hpp"
#include "crypto/suite.hpp"
#include "storage/file.hpp"
#include "storage/sealed_store.hpp"
#include "storage/secret_file.hpp"

namespace cpns::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t key_file_max = 256;

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

tl::unexpected<error> nothing_to_rewrap(const std::string& place) {
  return fail(errc::state_unknown,
              "a data key in " + place +
                  ": the role makes it at its first start, so there is nothing to rewrap; to use another "
                  "protector, change the configuration");
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
  if (c.kind == config::store_kind::memory)
    return fail(errc::config_usage,
                "this role keeps its store in memory, so no data key is on the disk; with store.kind rocksdb "
                "there would be one");
  // Opening would create a store.
  std::error_code ec;
  if (!is_there(c.path) || fs::is_empty(c.path, ec)) return nothing_to_rewrap(c.path.string());
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

boost::json::object state_of(const config::protector_config& c) {
  return {{"kind", std::string(config::word_of(c.kind))}, {"file", c.file.string()}};
}

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
          out.audit = [c](role_keys& keys, const storage::key_protector& p) -> result<open_audit> {
            open_audit opened;
            CPNS_TRY(opened.store, storage::sealed_store::open(*keys.store, p, crypto::system_entropy()));
            CPNS_TRY(opened.trail, open_trail(c, *opened.store));
            return opened;
          };
        } else {
          out.place = (c.keys_dir.empty() ? c.devices.front().key_file : c.keys_dir).string();
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

class rewrapping {
 public:
  rewrapping(const rewrap_options& o, subject s) : options_(o), subject_(std::move(s)) {
    out_.role = subject_.role;
    out_.place = subject_.place;
    out_.before = out_.now = subject_.protector;
    out_.old_key = subject_.protector.file;
  }

  result<rewrap_outcome> run() {
    auto done = options_.in_place ? in_place() : to_another_file();
    if (!audit_.trail) return done;
    auto became = audit::outcome_of(done);
    if (done)
      became.after =
          boost::json::object{{"rewrapped", done->keys.rewrapped}, {"already", done->keys.already}};
    static_cast<void>(audit_.trail->finish(std::move(ticket_), became));
    return done;
  }

 private:
  result<rewrap_outcome> to_another_file() {
    const bool passphrase = options_.new_file.empty();
    out_.now = {
        passphrase ? config::protector_kind::passphrase : config::protector_kind::file,
        fs::absolute(passphrase ? options_.new_passphrase_file : options_.new_file).lexically_normal()};
    if (const auto next = next_key_file(subject_.protector); is_there(next))
      return fail(errc::state_conflict, next.string() +
                                            " exists: `cpns store rewrap --in-place` was interrupted; repeat "
                                            "it to finish it, then run this command again");
    CPNS_CHECK(rewrap(out_.now));
    return std::move(out_);
  }

  result<rewrap_outcome> in_place() {
    const auto& file = subject_.protector.file;
    if (subject_.protector.kind != config::protector_kind::file)
      return fail(errc::config_usage,
                  "--in-place makes a new key file, but protector.kind is passphrase; use "
                  "--new-passphrase-file or --new-file");
    CPNS_CHECK(check_replaceable(file));
    auto kept = file;
    kept += ".old";
    CPNS_CHECK(check_kept(file, kept));
    const auto next = next_key_file(subject_.protector);
    CPNS_CHECK(rewrap({config::protector_kind::file, next}));
    CPNS_CHECK(keep(file, kept));
    out_.old_key = kept;
    std::error_code ec;
    fs::rename(next, file, ec);
    if (ec)
      return fail(errc::config_file, "cannot rename " + next.string() + " to " + file.string() + ": " +
                                         ec.message() + "; repeat the command, until then the " +
                                         std::string(config::word_of(subject_.role)) + " cannot start");
    CPNS_CHECK(storage::sync_folder(file.parent_path()));
    reached(rewrap_step::renamed);
    return std::move(out_);
  }

  void reached(rewrap_step s) const {
    if (options_.at) options_.at(s);
  }

  /// Steps 1 and 2.
  status rewrap(const config::protector_config& to_config) {
    CPNS_TRY(const auto from, open_protector(subject_.protector));
    CPNS_TRY(keys_, subject_.open());
    std::unique_ptr<storage::key_protector> to;
    const bool make = to_config.kind == config::protector_kind::file && !is_there(to_config.file);
    if (make) {
      // A wrong key must not leave a new key file behind.
      CPNS_TRY(const auto found, storage::check_keys(keys_.places, *from));
      if (found == 0) return nothing_to_rewrap(subject_.place);
    } else {
      CPNS_TRY(to, open_protector(to_config));
    }
    CPNS_CHECK(begin_audit(*from, to.get(), to_config));
    if (make) {
      CPNS_CHECK(storage::create_key_file(to_config.file, crypto::system_entropy()));
      out_.key_made = true;
      reached(rewrap_step::key_made);
      CPNS_TRY(to, open_protector(to_config));
    }
    CPNS_TRY(out_.keys, storage::rewrap_keys(keys_.places, *from, *to, crypto::system_entropy(),
                                             [this](std::size_t done, std::size_t all) {
                                               if (options_.progress) options_.progress(done, all);
                                               reached(rewrap_step::data_key_wrapped);
                                             }));
    if (out_.keys.absent == keys_.places.size()) return nothing_to_rewrap(subject_.place);
    return {};
  }

  /// The trail opens with the old key, or with the new one if an earlier call was interrupted. If none of them opens
  /// it, rewrap_keys() fails before it changes anything.
  status begin_audit(const storage::key_protector& from, const storage::key_protector* to,
                     const config::protector_config& to_config) {
    const auto* key = opens_any(keys_.places, from)                   ? &from
                      : to != nullptr && opens_any(keys_.places, *to) ? to
                                                                      : nullptr;
    if (key == nullptr) return {};
    auto opened = subject_.audit(keys_, *key);
    if (!opened && opened.error() == errc::store_key && key == &from && to != nullptr)
      opened = subject_.audit(keys_, *to);
    if (!opened) return fail(opened.error());
    audit_ = std::move(*opened);
    auto after = state_of(options_.in_place ? subject_.protector : to_config);
    if (options_.in_place) after["in_place"] = true;
    CPNS_TRY(ticket_, audit_.trail->begin(change_by_command("store-rewrap", subject_.place,
                                                            state_of(subject_.protector), std::move(after))));
    return {};
  }

  /// The new file would have another owner, other readers, or would replace the link instead of its target.
  static status check_replaceable(const fs::path& file) {
    struct stat about {};
    if (::lstat(file.c_str(), &about) != 0)
      return fail(errc::store_key, "the key file " + file.string() + ": " + std::strerror(errno));
    const auto refuse = [&file](const std::string& why) {
      return fail(errc::config_usage, "--in-place cannot replace " + file.string() + ": " + why +
                                          "; use --new-file, and change protector.file yourself");
    };
    if (!S_ISREG(about.st_mode)) return refuse("it is a link, or not a regular file");
    if (about.st_uid != ::geteuid())
      return refuse("it belongs to another user; run the command as that user");
    if ((about.st_mode & 077) != 0) return refuse("its group can read it, but not the new file");
    return {};
  }

  /// An older key in FILE.old may be the only one for a backup, so it is not replaced.
  static status check_kept(const fs::path& file, const fs::path& kept) {
    if (!is_there(kept)) return {};
    CPNS_TRY(const auto current, read_private_file(file, key_file_max));
    CPNS_TRY(const auto there, read_private_file(kept, key_file_max));
    if (current == there) return {};
    return fail(errc::state_exists, kept.string() +
                                        ", the old key of an earlier rewrap; move it to the backups that "
                                        "need it, or remove it, and repeat the command");
  }

  /// Step 3. The key may protect backups, and stores of other roles whose configuration names the same file.
  status keep(const fs::path& file, const fs::path& kept) const {
    if (!is_there(kept)) {
      CPNS_TRY(const auto key, read_private_file(file, key_file_max));
      CPNS_CHECK(storage::replace_file(kept, key.expose(), storage::if_exists::refuse));
    }
    reached(rewrap_step::old_key_kept);
    return {};
  }

  const rewrap_options& options_;
  subject subject_;
  role_keys keys_;    ///< locked until the last step
  open_audit audit_;  ///< empty until the intent is recorded
  audit::ticket ticket_;
  rewrap_outcome out_;
};

}  // namespace

result<rewrap_outcome> rewrap_role(const rewrap_options& o) {
  if (static_cast<int>(!o.new_file.empty()) + static_cast<int>(!o.new_passphrase_file.empty()) +
          static_cast<int>(o.in_place) !=
      1)
    return fail(errc::config_usage, "name one new key: --new-file, --new-passphrase-file or --in-place");
  CPNS_TRY(auto s, load(o.config));
  return rewrapping(o, std::move(s)).run();
}

status check_rewrap_finished(const config::pne_config& c) {
  const auto next = next_key_file(c.protector);
  if (!is_there(next)) return {};
  const auto key = storage::open_key_file(next);
  if (!key) return {};  // not a key that could have been used
  CPNS_TRY(const auto places, places_of(c));
  for (const auto& place : places) {
    const auto wrapped = place.read();
    if (!wrapped || !*wrapped) continue;  // the start of the role reports an unreadable file
    if ((*key)->unwrap(**wrapped, place.purpose))
      return fail(errc::store_key, place.name + ": " + interrupted_rewrap(next));
  }
  return {};
}

}  // namespace cpns::cli
