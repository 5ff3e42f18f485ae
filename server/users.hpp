#pragma once
// The user directory (step 5) and the table of Temporary Keys (step 7), both in the store.

#include <chrono>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "base/clock.hpp"
#include "crypto/suite.hpp"
#include "protocol/server/records.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::server {

/// Reads users from the store and caches the most recently used. Another server of a shared store may change or remove a
/// user, so a row in memory is then used for `shared_for` alone. [thread-safe]
class user_directory {
 public:
  static constexpr milliseconds shared_for{1000};
  using steady = std::chrono::steady_clock;
  /// [thread-safe]
  using steady_fn = std::function<steady::time_point()>;

  /// `store` outlives the directory. The salts of unknown users are derived from `fake_key`. `cached`: users in
  /// memory.
  user_directory(const storage::sealed_store& store, const crypto::suite& s, secret32 fake_key,
                 std::size_t cached, steady_fn now = steady::now);

  /// A look-up in two steps, so that no actor waits for the store: without a record, the caller reads name_of_user(user) and
  /// passes it to found().
  struct lookup {
    std::optional<protocol::user_record> record;  ///< in memory
    std::uint64_t changes = 0;                    ///< of rows, when the look-up began
    steady::time_point when{};                    ///< it began
  };
  lookup begin(const user_id& user);
  /// The user from the row that was read after `began`. nullopt: unknown user. The error of `row`, and store_damaged.
  result<std::optional<protocol::user_record>> found(const user_id& user, const lookup& began,
                                                     const result<storage::sealed_value>& row);
  /// Both steps; waits for the store.
  result<std::optional<protocol::user_record>> find(const user_id& user);
  /// Salt and iteration count; for an unknown user a stable fake that looks real.
  [[nodiscard]] protocol::user_challenge_answer
  challenge(const user_id& user, const std::optional<protocol::user_record>& found) const;
  /// The row of the user changed: find() reads it again.
  void forget(const user_id& user);
  /// Any row may have changed.
  void forget_all();
  /// Clears the cache and sets its size to `cached` users.
  void reset(std::size_t cached);
  /// Users in memory.
  [[nodiscard]] std::size_t cached() const;

 private:
  struct entry {
    user_id user;
    protocol::user_record record;
    steady::time_point read;  ///< not before
  };
  using order = std::list<entry>;
  [[nodiscard]] bool is_old(const entry& e, steady::time_point now) const;
  /// With guard_ held.
  void drop(std::unordered_map<user_id, order::iterator>::iterator at);
  const storage::sealed_store& store_;
  const crypto::suite& s_;
  const secret32 fake_key_;
  const steady_fn now_;
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
  /// `row`: that of the device in the imported table. nullopt: unknown device. Does not wait. The error of `row`, and
  /// store_damaged.
  virtual result<std::optional<protocol::device_secret_record>>
  find(const entity_id& entity, const result<storage::sealed_value>& row) = 0;
};

/// The imported table.
class temporary_key_table final : public temporary_key_source {
 public:
  result<std::optional<protocol::device_secret_record>>
  find(const entity_id& entity, const result<storage::sealed_value>& row) override;
};

/// Names of rows.
storage::row_name name_of_user(const user_id& user);
storage::row_name name_of_device(const entity_id& entity);
storage::row_name name_of_entity(const entity_id& entity);

}  // namespace cpns::server
