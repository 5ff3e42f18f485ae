#include "storage/key_change.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/private_file.hpp"
#include "crypto/suite.hpp"
#include "storage/data_key.hpp"
#include "storage/file.hpp"

namespace cpns::storage {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t key_file_max = 256;
constexpr std::size_t passphrase_max = 1024;

bool is_there(const fs::path& p) {
  std::error_code ec;
  return fs::exists(fs::symlink_status(p, ec));
}

void reached(const new_key& wanted, key_step s) {
  if (wanted.at) wanted.at(s);
}

/// The new file would have another owner, other readers, or would replace the link instead of its target.
status check_replaceable(const fs::path& file) {
  struct stat about {};
  if (::lstat(file.c_str(), &about) != 0)
    return fail(errc::store_key, "the key file " + file.string() + ": " + std::strerror(errno));
  const auto refuse = [&file](const std::string& why) {
    return fail(errc::config_usage,
                "a new key in place cannot replace " + file.string() + ": " + why +
                    "; name a new key file (--new-file), and change protector.file yourself");
  };
  if (!S_ISREG(about.st_mode)) return refuse("it is a link, or not a regular file");
  if (about.st_uid != ::geteuid()) return refuse("it belongs to another user; run the command as that user");
  if ((about.st_mode & 077) != 0) return refuse("its group can read it, but not the new file");
  return {};
}

/// An older key in FILE.old may be the only one for a backup, so it is not replaced.
status check_kept(const fs::path& file, const fs::path& kept) {
  if (!is_there(kept)) return {};
  CPNS_TRY(const auto current, read_private_file(file, key_file_max));
  CPNS_TRY(const auto there, read_private_file(kept, key_file_max));
  if (current == there) return {};
  return fail(errc::state_exists,
              kept.string() + ", the old key of an earlier rewrap; move it to the backups that need it, "
                              "or remove it, and repeat the command");
}

/// Step 3. The key may protect backups, and stores of other roles whose configuration names the same file.
status keep_old_key(const fs::path& file, const fs::path& kept) {
  if (is_there(kept)) return {};
  CPNS_TRY(const auto key, read_private_file(file, key_file_max));
  return replace_file(kept, key.expose(), if_exists::refuse);
}

}  // namespace

result<std::unique_ptr<key_protector>> open_protector(const key_source& s) {
  if (s.kind == protector_kind::file) return open_key_file(s.file);
  auto passphrase = read_secret_line(s.file, passphrase_max);
  if (!passphrase) return fail(errc::store_key, "the passphrase file " + passphrase.error().detail);
  return make_passphrase_protector(std::move(*passphrase));
}

fs::path next_key_file(const fs::path& key_file) {
  auto next = key_file;
  return next += ".rewrap";
}

std::string interrupted_rewrap(const fs::path& next) {
  return next.string() +
         " opens it: `cpns store rewrap --in-place` was interrupted; repeat it to finish it, and keep both "
         "key files until then";
}

key_changer::key_changer(key_source now, std::vector<key_place> places, std::string place, std::string role)
    : places_(std::move(places)), place_(std::move(place)), role_(std::move(role)), current_(std::move(now)) {
}

key_source key_changer::current() const {
  const std::lock_guard lock(guard_);
  return current_;
}

tl::unexpected<error> nothing_to_rewrap(const std::string& place) {
  return fail(errc::state_unknown,
              "a data key in " + place +
                  ": the role makes it at its first start, so there is nothing to rewrap; to use another "
                  "protector, change the configuration");
}

status check(const new_key& wanted) {
  if (static_cast<int>(!wanted.new_file.empty()) + static_cast<int>(!wanted.new_passphrase_file.empty()) +
          static_cast<int>(wanted.in_place) !=
      1)
    return fail(errc::config_usage, "name one new key: a key file (--new-file), a passphrase file "
                                    "(--new-passphrase-file), or --in-place");
  return {};
}

result<key_change> key_changer::change(const new_key& wanted) {
  CPNS_CHECK(check(wanted));
  if (places_.empty())
    return fail(errc::config_usage,
                "this role keeps its store in memory, so no data key is on the disk; with store.kind rocksdb "
                "there would be one");
  const std::unique_lock only_one(changing_, std::try_to_lock);
  if (!only_one.owns_lock())
    return fail(errc::state_conflict,
                "another change of the key of " + place_ + " is running; wait for its end");
  const auto from = current();
  return wanted.in_place ? in_place(wanted, from) : to_another_file(wanted, from);
}

result<key_change> key_changer::to_another_file(const new_key& wanted, const key_source& from) {
  const bool passphrase = wanted.new_file.empty();
  const auto& named = passphrase ? wanted.new_passphrase_file : wanted.new_file;
  key_change out{from,
                 {passphrase ? protector_kind::passphrase : protector_kind::file,
                  fs::absolute(named).lexically_normal()},
                 false,
                 from.file,
                 {}};
  if (const auto next = next_key_file(from.file); is_there(next))
    return fail(errc::state_conflict, next.string() +
                                          " exists: `cpns store rewrap --in-place` was interrupted; repeat "
                                          "it to finish it, then run this command again");
  CPNS_CHECK(rewrap(wanted, out.now, out));
  const std::lock_guard lock(guard_);
  current_ = out.now;
  return out;
}

result<key_change> key_changer::in_place(const new_key& wanted, const key_source& from) {
  const auto& file = from.file;
  if (from.kind != protector_kind::file)
    return fail(errc::config_usage,
                "--in-place makes a new key file, but protector.kind is passphrase; name a passphrase file "
                "(--new-passphrase-file) or a key file (--new-file)");
  CPNS_CHECK(check_replaceable(file));
  auto kept = file;
  kept += ".old";
  CPNS_CHECK(check_kept(file, kept));
  const auto next = next_key_file(file);
  key_change out{from, from, false, kept, {}};
  CPNS_CHECK(rewrap(wanted, {protector_kind::file, next}, out));
  CPNS_CHECK(keep_old_key(file, kept));
  reached(wanted, key_step::old_key_kept);
  std::error_code ec;
  fs::rename(next, file, ec);
  if (ec)
    return fail(errc::config_file, "cannot rename " + next.string() + " to " + file.string() + ": " +
                                       ec.message() + "; repeat the command, until then the " + role_ +
                                       " cannot start");
  CPNS_CHECK(sync_folder(file.parent_path()));
  reached(wanted, key_step::renamed);
  return out;
}

status key_changer::rewrap(const new_key& wanted, const key_source& to, key_change& out) {
  CPNS_TRY(const auto from, open_protector(out.before));
  std::unique_ptr<key_protector> fresh;
  if (to.kind == protector_kind::file && !is_there(to.file)) {
    // A wrong key must not leave a new key file behind.
    CPNS_TRY(const auto found, check_keys(places_, *from));
    if (found == 0) return nothing_to_rewrap(place_);
    if (wanted.begin) CPNS_CHECK(wanted.begin(*from, nullptr));
    CPNS_CHECK(create_key_file(to.file, crypto::system_entropy()));
    out.key_made = true;
    reached(wanted, key_step::key_made);
    CPNS_TRY(fresh, open_protector(to));
  } else {
    CPNS_TRY(fresh, open_protector(to));
    if (wanted.begin) CPNS_CHECK(wanted.begin(*from, fresh.get()));
  }
  CPNS_TRY(out.keys, rewrap_keys(places_, *from, *fresh, crypto::system_entropy(),
                                 [&wanted](std::size_t done, std::size_t all) {
                                   if (wanted.progress) wanted.progress(done, all);
                                   reached(wanted, key_step::data_key_wrapped);
                                 }));
  if (out.keys.absent == places_.size()) return nothing_to_rewrap(place_);
  return {};
}

std::string key_watch::id() {
  constexpr seconds again{10};
  const auto now = std::chrono::steady_clock::now();
  const auto wrapped = read_data_key(store_);
  if (!wrapped || !*wrapped) return opened_;
  const auto newest = data_key_id(**wrapped);
  const auto source = keys_.current();
  if (newest == opened_ && source.file == from_) return opened_;
  if (newest == seen_ && source.file == from_ && now < again_) return {};
  seen_ = newest;
  from_ = source.file;
  again_ = now + again;
  const auto key = open_protector(source);
  opened_ = key && (*key)->unwrap((*wrapped)->value, data_key_purpose) ? newest : std::string{};
  return opened_;
}

}  // namespace cpns::storage
