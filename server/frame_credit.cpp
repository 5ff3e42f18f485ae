#include "server/frame_credit.hpp"

namespace cpns::server {
namespace {

/// What a connection reads at most before it asks again: a record of TLS.
constexpr std::size_t a_read = 16'384;

}  // namespace

void frame_credit::change(std::size_t before, std::size_t after) {
  if (after >= before) {
    used_ += after - before;
    return;
  }
  used_ -= before - after;
  if (waits_ != 0) give_turns();
}

// The count of those that wait grows before the credit is looked at again, and change() looks at the count after it gave bytes
// back: one of the two sees the other.
bool frame_credit::may_read(turn_fn later) {
  if (waits_ == 0 && used_ < most_) return true;
  std::lock_guard lock{guard_};
  waiting_.push_back(std::move(later));
  ++waits_;
  if (waiting_.size() == 1 && used_ < most_) {
    waiting_.pop_back();
    --waits_;
    return true;
  }
  ++pauses_;
  return false;
}

void frame_credit::set_most(std::size_t most) {
  most_ = most;
  give_turns();
}

void frame_credit::give_turns() {
  std::unique_lock lock{guard_};
  for (std::size_t soon = used_; !waiting_.empty() && soon < most_;) {
    const auto turn = std::move(waiting_.front());
    waiting_.pop_front();
    --waits_;
    lock.unlock();
    if (turn()) soon += a_read;
    lock.lock();
  }
}

}  // namespace cpns::server
