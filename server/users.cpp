#include "server/users.hpp"

#include "crypto/scram.hpp"

namespace cpns::server {

user_directory::user_directory(const storage::sealed_store& store, const crypto::suite& s, secret32 fake_key,
                               std::size_t cached, steady_fn now)
    : store_(store), s_(s), fake_key_(std::move(fake_key)), now_(std::move(now)), cached_max_(cached) {}

bool user_directory::is_old(const entry& e, steady::time_point now) const {
  return store_.shared() && now - e.read >= shared_for;
}

void user_directory::drop(std::unordered_map<user_id, order::iterator>::iterator at) {
  latest_.erase(at->second);
  index_.erase(at);
}

user_directory::lookup user_directory::begin(const user_id& user) {
  const auto now = now_();
  std::lock_guard lock{guard_};
  const auto at = index_.find(user);
  if (at == index_.end()) return {std::nullopt, changes_, now};
  if (is_old(*at->second, now)) {
    drop(at);
    return {std::nullopt, changes_, now};
  }
  latest_.splice(latest_.begin(), latest_, at->second);
  return {at->second->record, changes_, now};
}

result<std::optional<protocol::user_record>> user_directory::found(const user_id& user, const lookup& began,
                                                                   const result<storage::sealed_value>& row) {
  if (!row) return fail(row.error());
  // Unknown names are not cached: guessed names would evict real ones.
  if (!row->value) return std::optional<protocol::user_record>{};
  CPNS_TRY(auto record, protocol::decode_user_record(row->value->expose()));
  std::lock_guard lock{guard_};
  if (cached_max_ == 0 || changes_ != began.changes || index_.count(user) != 0)
    return std::optional{std::move(record)};
  if (latest_.size() >= cached_max_) {
    index_.erase(latest_.back().user);
    latest_.pop_back();
  }
  latest_.push_front({user, record, began.when});
  index_.emplace(user, latest_.begin());
  return std::optional{std::move(record)};
}

result<std::optional<protocol::user_record>> user_directory::find(const user_id& user) {
  auto began = begin(user);
  if (began.record) return std::move(began.record);
  const auto name = name_of_user(user);
  return found(user, began, store_.read_one(name.table, name.row));
}

protocol::user_challenge_answer
user_directory::challenge(const user_id& user, const std::optional<protocol::user_record>& found) const {
  if (!found) return {crypto::scram_fake_salt(s_, fake_key_, user), crypto::scram_iterations_default};
  return {found->salt, found->iterations};
}

void user_directory::forget(const user_id& user) {
  std::lock_guard lock{guard_};
  ++changes_;
  const auto at = index_.find(user);
  if (at != index_.end()) drop(at);
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

result<std::optional<protocol::device_secret_record>>
temporary_key_table::find(const entity_id& /*entity*/, const result<storage::sealed_value>& row) {
  if (!row) return fail(row.error());
  if (!row->value) return std::optional<protocol::device_secret_record>{};
  CPNS_TRY(auto record, protocol::decode_device_secret_record(row->value->expose()));
  return std::optional{std::move(record)};
}

storage::row_name name_of_user(const user_id& user) {
  return {storage::table::users, to_bytes(as_bytes(user.text()))};
}
storage::row_name name_of_device(const entity_id& entity) {
  return {storage::table::devices, to_bytes(as_bytes(entity.text()))};
}
storage::row_name name_of_entity(const entity_id& entity) {
  return {storage::table::entities, to_bytes(as_bytes(entity.text()))};
}

}  // namespace cpns::server
