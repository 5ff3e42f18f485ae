#include "server/users.hpp"

#include "crypto/scram.hpp"

namespace cpns::server {

user_directory::user_directory(const storage::sealed_store& store, const crypto::suite& s, secret32 fake_key,
                               std::size_t cached)
    : store_(store), s_(s), fake_key_(std::move(fake_key)), cached_max_(cached) {}

result<std::optional<protocol::user_record>> user_directory::find(const user_id& user) {
  std::uint64_t changes = 0;
  {
    std::lock_guard lock{guard_};
    changes = changes_;
    if (const auto at = index_.find(user); at != index_.end()) {
      latest_.splice(latest_.begin(), latest_, at->second);
      return std::optional{at->second->second};
    }
  }
  // Unknown names are not cached: guessed names would evict real ones.
  CPNS_TRY(const auto row, store_.get(storage::table::users, as_bytes(user.text())));
  if (!row) return std::optional<protocol::user_record>{};
  CPNS_TRY(auto record, protocol::decode_user_record(row->expose()));
  std::lock_guard lock{guard_};
  if (cached_max_ == 0 || changes_ != changes || index_.count(user) != 0)
    return std::optional{std::move(record)};
  if (latest_.size() >= cached_max_) {
    index_.erase(latest_.back().first);
    latest_.pop_back();
  }
  latest_.emplace_front(user, record);
  index_.emplace(user, latest_.begin());
  return std::optional{std::move(record)};
}

result<protocol::user_challenge_answer> user_directory::challenge(const user_id& user) {
  CPNS_TRY(const auto found, find(user));
  protocol::user_challenge_answer fake{crypto::scram_fake_salt(s_, fake_key_, user),
                                       crypto::scram_iterations_default};
  if (!found) return fake;
  return protocol::user_challenge_answer{found->salt, found->iterations};
}

void user_directory::forget(const user_id& user) {
  std::lock_guard lock{guard_};
  ++changes_;
  const auto at = index_.find(user);
  if (at == index_.end()) return;
  latest_.erase(at->second);
  index_.erase(at);
}

void user_directory::forget_all() {
  std::lock_guard lock{guard_};
  ++changes_;
  index_.clear();
  latest_.clear();
}

void user_directory::reset(std::size_t cached) {
  std::lock_guard lock{guard_};
  cached_max_ = cached;
  index_.clear();
  latest_.clear();
}

std::size_t user_directory::cached() const {
  std::lock_guard lock{guard_};
  return latest_.size();
}

result<bool> temporary_key_table::knows(const entity_id& entity) {
  return store_.has(storage::table::devices, as_bytes(entity.text()));
}

result<std::optional<protocol::device_secret_record>> temporary_key_table::find(const entity_id& entity) {
  CPNS_TRY(const auto row, store_.get(storage::table::devices, as_bytes(entity.text())));
  if (!row) return std::optional<protocol::device_secret_record>{};
  CPNS_TRY(auto record, protocol::decode_device_secret_record(row->expose()));
  return std::optional{std::move(record)};
}

}  // namespace cpns::server
