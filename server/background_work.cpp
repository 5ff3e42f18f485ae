#include "server/background_work.hpp"

#include <sys/resource.h>

#include <utility>

namespace cpns::server {

background_work::~background_work() {
  stop();
  wait();
}

void background_work::start(std::function<void()> work) {
  thread_ = std::thread([work = std::move(work)] {
    constexpr int low_priority = 10;  // in steps of nice(2)
    // On Linux this is the thread alone. Without the right the thread works at the usual priority.
    static_cast<void>(::setpriority(PRIO_PROCESS, 0, low_priority));
    work();
  });
}

bool background_work::pause(milliseconds time) {
  std::unique_lock lock{guard_};
  return !wake_.wait_for(lock, time, [this] { return stopping_; });
}

void background_work::stop() {
  {
    const std::lock_guard lock{guard_};
    stopping_ = true;
  }
  wake_.notify_all();
}

void background_work::wait() {
  if (thread_.joinable()) thread_.join();
}

}  // namespace cpns::server
