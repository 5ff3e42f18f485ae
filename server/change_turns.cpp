#include "server/change_turns.hpp"

#include <algorithm>

namespace cpns::server {
namespace {

constexpr milliseconds stop_poll{100};

}  // namespace

std::shared_ptr<change_turns::turn> change_turns::next(milliseconds longest) {
  return wait(longest, [] { return true; });
}

std::shared_ptr<change_turns::turn> change_turns::next(const std::atomic<bool>& stop) {
  return wait(stop_poll, [&stop] { return stop.load(); });
}

std::shared_ptr<change_turns::turn> change_turns::wait(milliseconds part, const std::function<bool()>& ends) {
  std::unique_lock lock{guard_};
  const auto mine = ++asked_;
  waiting_.push_back(mine);
  const auto is_mine = [&] { return !taken_ && waiting_.front() == mine; };
  bool came = false;
  do came = changed_.wait_for(lock, part, is_mine);
  while (!came && !ends());
  std::erase(waiting_, mine);
  if (came) taken_ = true;
  lock.unlock();
  // After a wait without success the one behind may be the first.
  if (!came) changed_.notify_all();
  return came ? std::make_shared<turn>(shared_from_this()) : nullptr;
}

std::size_t change_turns::waiting() const {
  const std::lock_guard lock{guard_};
  return waiting_.size();
}

void change_turns::end() {
  {
    const std::lock_guard lock{guard_};
    taken_ = false;
  }
  changed_.notify_all();
}

}  // namespace cpns::server
