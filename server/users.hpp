#pragma once
// The user directory (step 5) and the table of Temporary Keys (step 7): what the store knows about people and
// devices.

#include <list>
#include <mutex>
#include <unordered_map>

#include "crypto/suite.hpp"
#include "protocol/server/records.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::server {

/// Reads users and keeps the latest used in memory. [thread-safe]
class user_directory {
 public:
  /// `store` outlives the directory. `fake_key` makes the salts of users that do not exist.
  user_directory(const storage::sealed_store& store, const crypto::suite& s, secret32 fake_key,
                 std::size_t cached);

  /// nullopt: there is no such user. Errors of the store, and store_damaged.
  result<std::optional<protocol::user_record>> find(const user_id& user);
  /// Salt and iteration count; for an unknown user ones that stay the same and look like real ones.
  result<protocol::user_challenge_answer> challenge(const user_id& user);
  /// Forgets what was read, and keeps up to `cached` users from now on.
  void reset(std::size_t cached);

 private:
  using order = std::list<std::pair<user_id, protocol::user_record>>;
  const storage::sealed_store& store_;
  const crypto::suite& s_;
  const secret32 fake_key_;
  std::mutex guard_;
  std::size_t cached_max_;
  order latest_;  ///< most recently used first
  std::unordered_map<user_id, order::iterator> index_;
};

/// Where TK' of a device comes from. Later ones derive it from a batch key or ask the manufacturer.
/// [thread-safe]
class temporary_key_source {
 public:
  virtual ~temporary_key_source() = default;
  /// Whether the device is known, for less than what `find` costs.
  virtual result<bool> knows(const entity_id& entity) = 0;
  /// nullopt: the device is not known.
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

/// What all servers of a cluster share and no restart changes.
struct server_meta {
  secret32 issuer_key;            ///< K_iss
  secret32 fake_salt_key;         ///< salts of users that do not exist
  std::uint64_t incarnation = 1;  ///< raised after a restore
};
/// Reads it, or draws and stores it once.
result<server_meta> load_meta(storage::sealed_store& store, entropy& random);

}  // namespace cpns::server
