#pragma once
// What a server does about the changes that other servers make in the store that they share.

#include <condition_variable>
#include <mutex>
#include <thread>

#include "server/context.hpp"
#include "server/presence_writer.hpp"
#include "server/reopened_store.hpp"

namespace cpns::server {

/// A gateway that was blocked at another server, or a batch that was removed there, would get keys here until the next
/// start, because both are in memory. So a thread reads twice per second whether something changed (shared_changes.hpp),
/// and then reads the gateways or the batches again, so that each change counts here within two seconds, and at once if the
/// store hints at it. If the store cannot be read, nothing changes, and it tries again: no key is granted meanwhile, because
/// a grant reads and writes the same store. It also does what the others order (gateway_orders.hpp), and tells them of the
/// gateways that are connected here. [thread-safe]
class other_servers {
 public:
  static constexpr milliseconds interval_default{500};
  static constexpr milliseconds hint_pause{20};  ///< a flood of hints causes no more looks

  /// `role`, which has `orders`, and `reopened` outlive the object, which calls reopened_store::look(), too. After both
  /// books were loaded. `own`: of this role.
  other_servers(role_context& role, reopened_store& reopened, presence_writer own,
                milliseconds interval = interval_default);
  ~other_servers();
  other_servers(const other_servers&) = delete;
  other_servers& operator=(const other_servers&) = delete;

 private:
  void run();
  status look();
  void warn_of_overlaps() const;

  role_context& role_;
  reopened_store& reopened_;
  presence_writer own_gateways_;
  const milliseconds interval_;
  bool failed_ = false;  ///< logged once
  std::uint64_t
      batches_checked_;  ///< batch_book::seen() when the batches were compared with the key services
  std::mutex guard_;
  std::condition_variable wake_;
  bool stopping_ = false, hinted_ = false;
  std::shared_ptr<void> hints_;
  std::thread thread_;
};

}  // namespace cpns::server
