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

/// Why the gateways in the store differ from those in memory, for the log.
struct gateway_reasons {
  std::string_view blocked, served;
};
/// Reads the gateways again, and closes the connections of those that are not blocked any more. One call at a time. Errors
/// of gateway_book::reload.
status read_gateways_again(role_context& role, const gateway_reasons& why);

}  // namespace cpns::server
