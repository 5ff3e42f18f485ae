#pragma once
// The user directory (step 5) and the table of Temporary Keys (step 7), both in the store.

#include <list>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "crypto/suite.hpp"
#include "protocol/server/records.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::server {

/// Reads users from the store and caches the most recently used. [thread-safe]
class user_directory {
 public:
  /// `store` outlives the directory. The salts of unknown users are derived from `fake_key`. `cached`: users in
  /// memory.
  user_directory(const storage::sealed_store& store, const crypto::suite& s, secret32 fake_key,
                 std::size_t cached);

  /// nullopt: unknown user. Errors of the store, and store_damaged.
  result<std::optional<protocol::user_record>> find(const user_id& user);
  /// Salt and iteration count; for an unknown user a stable fake that looks real.
  result<protocol::user_challenge_answer> challenge(const user_id& user);
  /// The row of the user changed: find() reads it again.
  void forget(const user_id& user);
  /// Any row may have changed.
  void forget_all();
  /// Clears the cache and sets its size to `cached` users.
  void reset(std::size_t cached);
  /// Users in memory.
  [[nodiscard]] std::size_t cached() const;

 private:
  using order = std::list<std::pair<user_id, protocol::user_record>>;
  const storage::sealed_store& store_;
  const crypto::suite& s_;
  const secret32 fake_key_;
  mutable std::mutex guard_;
  std::size_t cached_max_;
  std::uint64_t changes_ = 0;  ///< of rows: a row that was read before the last change is not cached
  order latest_;               ///< most recently used first
  std::unordered_map<user_id, order::iterator> index_;
};

/// Source of the TK' of a device. Other sources may derive it from a batch key or query the manufacturer.
/// [thread-safe]
class temporary_key_source {
 public:
  virtual ~temporary_key_source() = default;
  /// Whether the device is known; cheaper than `find`.
  virtual result<bool> knows(const entity_id& entity) = 0;
  /// nullopt: unknown device.
  virtual result<std::optional<protocol::device_secret_record>> find(const entity_id& entity) = 0;
};

/// The imported table.
class temporary_key_table final : public temporary_key_source {
 public:
  explicit temporary_key_table(const storage::sealed_store& store) : store_(store) {}
  result<bool> knows(const entity_id& entity) override;
  result<std::optional<protocol::device_secret_record>> find(const entity_id& entity) override;

 private:
  const storage::sealed_store& store_;
};

}  // namespace cpns::server
