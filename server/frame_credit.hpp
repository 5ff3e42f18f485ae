#pragma once
// The bytes that all connections together hold in memory.
//
// Each connection has bounds for its frames and answers, but thousands of connections at their bounds are gigabytes. So all of them
// draw on one credit. Near its end new work is answered "overloaded", which gives bytes back at once. At its end a connection is not
// read: what its gateway sends stays in the socket, and then at the gateway. Those that wait are read in the order in which they came.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace cpns::server {

/// Bytes, unless the configuration sets the memory of the role.
inline constexpr std::size_t credit_default = std::size_t{128} << 20;

/// [thread-safe]
class frame_credit {
 public:
  /// Called once, on the thread that gave bytes back; must not block. False: the connection is over, and the turn is the next
  /// one's.
  using turn_fn = std::function<bool()>;

  /// `most`: bytes. A connection reads some KiB at a time, so the sum exceeds it by that much for each thread that reads.
  explicit frame_credit(std::size_t most) : most_(most) {}

  /// One connection changes what it holds. More than the credit is counted, too: the bytes are in memory already.
  void change(std::size_t before, std::size_t after);
  /// Whether a connection may be read now. False: `later` is called when it may.
  bool may_read(turn_fn later);
  /// So little is left that new work should be refused.
  [[nodiscard]] bool nearly_used() const { return used_ >= most_ / 4 * 3; }
  [[nodiscard]] std::size_t used() const { return used_; }
  [[nodiscard]] std::size_t most() const { return most_; }
  /// How often a connection was not read.
  [[nodiscard]] std::uint64_t pauses() const { return pauses_; }
  void set_most(std::size_t most);
  /// Lets those read that wait, as far as there is room.
  void give_turns();

 private:
  std::atomic<std::size_t> most_, used_{0};
  std::atomic<std::uint64_t> pauses_{0};
  std::atomic<std::size_t> waits_{0};  ///< the size of waiting_, written with guard_ held
  std::mutex guard_;
  std::deque<turn_fn> waiting_;
};

/// What one connection holds of the credit; the destructor gives it back. Not thread-safe.
class credit_share {
 public:
  explicit credit_share(std::shared_ptr<frame_credit> of) : of_(std::move(of)) {}
  credit_share(const credit_share&) = delete;
  credit_share& operator=(const credit_share&) = delete;
  ~credit_share() { hold(0); }

  void hold(std::size_t bytes) {
    if (of_ && bytes != held_) of_->change(std::exchange(held_, bytes), bytes);
  }
  bool may_read(frame_credit::turn_fn later) { return !of_ || of_->may_read(std::move(later)); }
  /// After a turn, which may have read nothing.
  void pass_on() {
    if (of_) of_->give_turns();
  }

 private:
  const std::shared_ptr<frame_credit> of_;  ///< null: no bound
  std::size_t held_ = 0;
};

}  // namespace cpns::server
