#pragma once
// CAF's mailboxes have no bound: who sends what strangers say counts what waits.

#include <atomic>
#include <cstdint>
#include <memory>

namespace cpns::actors {

/// How many messages of one source wait in a mailbox: the sender adds one, the receiver takes it away. Copies
/// share the number. [thread-safe]
class waiting_count {
 public:
  /// False, and nothing is added, when `most` wait already: the message is dropped.
  [[nodiscard]] bool add(std::uint32_t most) const {
    if (n_->load(std::memory_order_relaxed) >= most) return false;
    n_->fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  void take() const { n_->fetch_sub(1, std::memory_order_relaxed); }

 private:
  std::shared_ptr<std::atomic<std::uint32_t>> n_ = std::make_shared<std::atomic<std::uint32_t>>(0);
};

/// Messages of one link that may wait for its device: an exchange has two.
inline constexpr std::uint32_t link_messages_max = 32;
/// New links of one device that may wait for it.
inline constexpr std::uint32_t new_links_max = 64;

}  // namespace cpns::actors
