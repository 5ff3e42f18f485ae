#pragma once
// CAF's mailboxes are unbounded: the sender of messages from unverified peers counts and limits the pending
// ones.

#include <atomic>
#include <cstdint>
#include <memory>

namespace cpns::actors {

/// Pending messages of one source in a mailbox: the sender adds, the receiver takes. Copies that are made after the first
/// add() share the count; before it takes no memory, since most sources are idle. take() is thread-safe.
class waiting_count {
 public:
  /// False, and nothing is added, if `most` are pending: the caller drops the message.
  [[nodiscard]] bool add(std::uint32_t most) {
    if (!n_) n_ = std::make_shared<std::atomic<std::uint32_t>>(0);
    if (n_->load(std::memory_order_relaxed) >= most) return false;
    n_->fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  void take() const {
    if (n_) n_->fetch_sub(1, std::memory_order_relaxed);
  }

 private:
  std::shared_ptr<std::atomic<std::uint32_t>> n_;
};

/// Pending messages per link: an exchange has two.
inline constexpr std::uint32_t link_messages_max = 32;
/// Pending new links per device.
inline constexpr std::uint32_t new_links_max = 64;

}  // namespace cpns::actors
