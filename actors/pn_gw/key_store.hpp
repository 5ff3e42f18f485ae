#pragma once
// The gateway's secure store as the role sees it (step 8): one row a device, and what it needs to speak for
// its user.

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "protocol/pn_gw/device_record.hpp"
#include "storage/group_commit.hpp"

namespace cpns::actors {

/// What the gateway keeps instead of the user's password.
struct user_credentials {
  user_id user;
  byte_array<16> salt{};
  std::uint32_t iterations = 0;
  secret32 client_key;
  std::int64_t password_time = 0;  ///< of the password file that it was made from, see password_time()
};

/// Every device that was ever stored.
struct stored_devices {
  std::vector<protocol::device_record> records;
  std::vector<error> unreadable;  ///< one a row that cannot be read; names its device if the row opened
};

/// storage::group_committer::submit; tests hold writes back.
using make_durable_fn = std::function<void(storage::sealed_batch, storage::commit_done)>;

/// [thread-safe]
class key_store {
 public:
  /// `rows` outlives the key store, and so does what `commit` refers to.
  key_store(storage::sealed_store& rows, make_durable_fn commit) : rows_(rows), commit_(std::move(commit)) {}

  result<std::optional<protocol::device_record>> load(const entity_id& entity) const;
  /// `done` is called once the record is durable, or was refused; from another thread or before save returns.
  /// It must not block.
  void save(const protocol::device_record& record, storage::commit_done done);
  /// Fails only where the store itself cannot be read.
  result<stored_devices> all() const;

  /// The newest date in the records that went through this object: of each one the last confirmation, or when
  /// its set expired if that was earlier, so that one day with a wrong clock does not count for ever.
  [[nodiscard]] time_point newest_date() const { return time_point{milliseconds{newest_date_.load()}}; }

  [[nodiscard]] storage::store_health health() const { return rows_.health(); }

  result<std::optional<user_credentials>> credentials(const user_id& user) const;
  void save(const user_credentials& c, storage::commit_done done);

 private:
  void note_date(const protocol::device_record& r) const;

  storage::sealed_store& rows_;
  make_durable_fn commit_;
  mutable std::atomic<std::int64_t> newest_date_{0};  ///< Unix ms
};

}  // namespace cpns::actors
