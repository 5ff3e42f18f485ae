#pragma once
// A text that is made on demand, by one thread at a time. Private to api/.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <utility>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace cpns::api::detail {

/// A scrape asks each radio for its counters, and a radio that hangs keeps the thread. So one call makes the text; the
/// others wait for it, all together no longer than `patience` after it began, and then fail at once. [thread-safe]
class kept_text {
 public:
  /// A text is given again for `keep` after it was made.
  kept_text(std::function<std::string()> make, milliseconds keep, milliseconds patience)
      : make_(std::move(make)), keep_(keep), patience_(patience) {}

  /// state_overloaded: another call has been making it for too long. Throws what `make` throws.
  result<std::string> get() {
    std::unique_lock lock{guard_};
    const bool in_time = made_.wait_until(lock, began_ + patience_, [this] { return !making_; });
    if (!in_time)
      return fail(errc::state_overloaded,
                  "these values are being collected for another request, and a part of the role has not "
                  "answered yet; is a radio stuck?");
    const auto now = steady::now();
    if (now < fresh_until_) return text_;
    making_ = true;
    began_ = now;
    lock.unlock();
    const ending end{*this};
    auto fresh = make_();
    lock.lock();
    text_ = std::move(fresh);
    fresh_until_ = steady::now() + keep_;
    auto out = text_;
    lock.unlock();
    return out;
  }

 private:
  using steady = std::chrono::steady_clock;
  struct ending {
    kept_text& of;
    ~ending() {
      {
        const std::lock_guard lock{of.guard_};
        of.making_ = false;
      }
      of.made_.notify_all();
    }
  };

  const std::function<std::string()> make_;
  const milliseconds keep_, patience_;
  std::mutex guard_;
  std::condition_variable made_;
  bool making_ = false;
  steady::time_point began_{}, fresh_until_{};
  std::string text_;
};

}  // namespace cpns::api::detail
