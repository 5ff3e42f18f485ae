#include "transports/ble/loop.hpp"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <string>
#include <system_error>

namespace cpns::ble {

loop::loop(std::function<void(const std::string&)> wrong)
    : wrong_(std::move(wrong)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_) throw std::system_error{errno, std::generic_category(), "eventfd"};
}

void loop::run() {
  thread_ = std::thread{[this] {
    while (!ended_) turn();
  }};
}

void loop::stop(task last) {
  if (!thread_.joinable()) return;
  post([this, last = std::move(last)] {
    ended_ = true;
    last();
  });
  {
    std::lock_guard lock{guard_};
    closed_ = true;
  }
  thread_.join();
  std::lock_guard lock{guard_};
  posted_.clear();
}

void loop::post(task t) {
  {
    std::lock_guard lock{guard_};
    if (closed_) return;
    posted_.push_back(std::move(t));
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);  // fails only if already set
}

void loop::watch(int fd, short events, std::function<void(short)> ready) {
  watched_[fd] = {events, ++next_, std::move(ready)};
}

void loop::unwatch(int fd) { watched_.erase(fd); }

std::uint64_t loop::after(std::chrono::milliseconds wait, task t) {
  const auto number = ++next_;
  timers_.emplace(std::pair{clock::now() + wait, number}, std::move(t));
  return number;
}

void loop::cancel(std::uint64_t timer) {
  const auto it = std::find_if(timers_.begin(), timers_.end(),
                               [&](const auto& entry) { return entry.first.second == timer; });
  if (it != timers_.end()) timers_.erase(it);
}

void loop::guarded(const task& t) {
  try {
    t();
  } catch (const std::exception& e) {
    wrong_(e.what());
  }
}

void loop::turn() {
  int timeout = -1;
  if (!timers_.empty()) {
    const auto left = timers_.begin()->first.first - clock::now();
    timeout = static_cast<int>(
        std::clamp<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(left).count(), 0, 60'000));
  }
  std::vector<pollfd> set{{wake_.get(), POLLIN, 0}};
  std::vector<std::uint64_t> numbers{0};
  for (const auto& [fd, w] : watched_) {
    set.push_back({fd, w.events, 0});
    numbers.push_back(w.number);
  }
  int source_fd = -1;
  short source_events = 0;
  if (source_ != nullptr) source_->prepare(source_fd, source_events, timeout);
  set.push_back({source_fd, source_events, 0});
  if (::poll(set.data(), set.size(), timeout) < 0 && errno != EINTR)
    throw std::system_error{errno, std::generic_category(), "poll"};

  std::uint64_t count = 0;
  [[maybe_unused]] const auto woken = ::read(wake_.get(), &count, sizeof count);
  run_posted();
  for (std::size_t i = 1; i < numbers.size() && !ended_; ++i) {
    if (set[i].revents == 0) continue;
    const auto it = watched_.find(set[i].fd);
    if (it == watched_.end() || it->second.number != numbers[i]) continue;
    const auto ready = it->second.ready;  // a copy, because it may unwatch itself
    guarded([&] { ready(set[i].revents); });
  }
  if (source_ != nullptr && !ended_) guarded([this] { source_->process(); });
  if (!ended_) run_due();
}

void loop::run_posted() {
  std::vector<task> tasks;
  {
    std::lock_guard lock{guard_};
    tasks.swap(posted_);
  }
  for (const auto& t : tasks) {
    if (ended_) return;
    guarded(t);
  }
}

void loop::run_due() {
  const auto now = clock::now();
  while (!timers_.empty() && timers_.begin()->first.first <= now && !ended_) {
    const auto t = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    guarded(t);
  }
}

}  // namespace cpns::ble
