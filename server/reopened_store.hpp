#pragma once
// What the server does when its store was opened again.

#include "server/context.hpp"

namespace cpns::server {

/// After an error of the disk, a write that was reported as failed may turn up when the store is opened again. Then the
/// blocked gateways, the batches and the users in memory are out of date: a gateway that is blocked in the store would get keys until
/// the next start. Not thread-safe.
class reopened_store {
 public:
  /// `role` outlives the object. Make it before the blocked gateways are read for the first time.
  explicit reopened_store(role_context& role) : role_(role), seen_(role.store.health().reopened) {}

  /// Call it about once per second: reads again what is in memory if the store was opened again since. If it cannot be
  /// read, nothing of it changes, and the next call tries again.
  void look();

 private:
  role_context& role_;
  std::uint64_t seen_;
  bool failed_ = false;  ///< logged once
};

}  // namespace cpns::server
