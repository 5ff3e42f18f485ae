#pragma once
// Another key-encryption key for the data keys of a role, which may run meanwhile.
//
// The order of the durable steps lets each crash, and each error, be repaired by the same call, on the running role
// or by `cpns store rewrap` on the stopped one:
//   1. the new key is on the disk, before any data key depends on it
//   2. each data key is wrapped for it, by one write for each (storage/rewrap.hpp)
//   3. with `in_place` alone: a copy of the old key is on the disk as FILE.old
//   4. with `in_place` alone: the new key, FILE.rewrap until now, is renamed to FILE
// Between 2 and 4 the role would open with FILE.rewrap alone. Its start and the commands say so.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "storage/key_protector.hpp"
#include "storage/rewrap.hpp"
#include "storage/store.hpp"

namespace cpns::storage {

/// A file with a key-encryption key, or with a passphrase in its first line.
struct key_source {
  protector_kind kind = protector_kind::file;
  std::filesystem::path file;
};
/// store_key if the file is missing, readable by others, or does not hold a key or a passphrase.
result<std::unique_ptr<key_protector>> open_protector(const key_source& s);

/// Where a new key in place of `key_file` is kept until it takes its name: FILE.rewrap. Not FILE.new, a name that
/// people choose for a key of their own.
std::filesystem::path next_key_file(const std::filesystem::path& key_file);
/// The end of an error about a data key that only the key in `next` unwraps.
std::string interrupted_rewrap(const std::filesystem::path& next);

/// At which a test may stop the process.
enum class key_step : std::uint8_t { key_made, data_key_wrapped, old_key_kept, renamed };

/// One of the three: new_file, new_passphrase_file, in_place.
struct new_key {
  std::filesystem::path new_file{};             ///< a key file; created if missing
  std::filesystem::path new_passphrase_file{};  ///< its first line
  bool in_place = false;                        ///< a random key takes the place of the key file in use
  std::function<void(std::size_t done, std::size_t all)> progress{};  ///< data keys
  /// Called before the first step with the key in use and the new one, nullptr if that is not made yet. An error ends
  /// the change before anything is done.
  std::function<status(const key_protector& from, const key_protector* to)> begin{};
  std::function<void(key_step)> at{};  ///< called after each durable step
};

/// config_usage unless it names exactly one new key.
status check(const new_key& wanted);
/// state_unknown: a role that has not started yet has no data key in `place`.
tl::unexpected<error> nothing_to_rewrap(const std::string& place);

struct key_change {
  key_source before;
  key_source now;                 ///< required in the configuration; equal to `before` with in_place
  bool key_made = false;          ///< the key file did not exist
  std::filesystem::path old_key;  ///< where the old key or passphrase is now
  rewrap_report keys;
};

/// The data keys of one role and the source of the key that wraps them. [thread-safe]
class key_changer {
 public:
  /// `places` stay valid as long as this object; empty for a store in memory. `place` names them for messages (a
  /// folder), `role` the role.
  key_changer(key_source now, std::vector<key_place> places, std::string place, std::string role);

  /// Changes the key. The rows and the data keys stay, so other threads read and write meanwhile. Blocks: 150 ms for
  /// each passphrase, and one durable write for each data key.
  ///   config_usage    not exactly one new key; in_place with a passphrase, or with a file that cannot be replaced;
  ///                   a store in memory
  ///   state_conflict  another change is running; the new key is the one in use; a change in place was interrupted,
  ///                   and another key is named
  ///   state_exists    FILE.old of an earlier change is still there
  ///   state_unknown   the role has made no data key yet
  ///   store_key       the key in use, or the new one, cannot be read, or does not unwrap a data key
  /// Nothing is changed then. After any other error the same call has to be repeated, and both keys be kept.
  result<key_change> change(const new_key& wanted);

  /// The source that opens the data keys, which the configuration must have at the next start.
  [[nodiscard]] key_source current() const;

 private:
  result<key_change> to_another_file(const new_key& wanted, const key_source& from);
  result<key_change> in_place(const new_key& wanted, const key_source& from);
  /// Steps 1 and 2.
  status rewrap(const new_key& wanted, const key_source& to, key_change& out);

  const std::vector<key_place> places_;
  const std::string place_, role_;
  std::mutex changing_;  ///< held during a change
  mutable std::mutex guard_;
  key_source current_;  ///< guarded
};

/// Tells the others which data key this node could open if it were started again. A node of a shared store may still have
/// the key-encryption key of before a change. Not thread-safe; `s` and `keys` outlive it.
class key_watch {
 public:
  key_watch(store& s, const key_changer& keys) : store_(s), keys_(keys) {}
  /// data_key_id() of the data key as it is wrapped now, if the source of this node's key opens it; empty: it does not,
  /// or cannot be read. Blocks for a read of the store, and for 150 ms with a passphrase when the data key or the source
  /// changed, or every ten seconds while it does not open it.
  std::string id();

 private:
  store& store_;
  const key_changer& keys_;
  std::string seen_, opened_;  ///< ids: the newest, and the one that was opened
  std::filesystem::path from_;
  std::chrono::steady_clock::time_point again_{};
};

}  // namespace cpns::storage
