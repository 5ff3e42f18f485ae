#pragma once
// Changes of one table of the store, one at a time.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "base/clock.hpp"

namespace cpns::server {

/// An administrator adds a device while an import writes thousands. Each of them looks whether the device is there, and
/// writes its row later: if the other one writes between these steps, the device gets the wrong key. So each change has a
/// turn, which lasts until its write has ended, also if nobody waits for that any more. The turns are in the order of the
/// calls, so an administrator waits for one part of an import at most; with a std::mutex, an import that takes it again at
/// once would keep the administrator out. [thread-safe]
class change_turns : public std::enable_shared_from_this<change_turns> {
 public:
  /// Ends with the object, on any thread; the change_turns may be gone from its owner by then.
  class turn {
   public:
    explicit turn(std::shared_ptr<change_turns> of) : of_(std::move(of)) {}
    ~turn() { of_->end(); }
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;

   private:
    const std::shared_ptr<change_turns> of_;
  };

  static std::shared_ptr<change_turns> make() { return std::make_shared<change_turns>(); }
  /// Waits until all turns that were asked for before have ended; nullptr after `longest`.
  std::shared_ptr<turn> next(milliseconds longest);
  /// The same without a limit; nullptr once `stop` is set, which is looked at every 100 ms.
  std::shared_ptr<turn> next(const std::atomic<bool>& stop);
  /// Calls that wait for their turn now.
  [[nodiscard]] std::size_t waiting() const;

 private:
  /// Waits in parts of `part` until `ends`.
  std::shared_ptr<turn> wait(milliseconds part, const std::function<bool()>& ends);
  void end();

  mutable std::mutex guard_;
  std::condition_variable changed_;
  std::uint64_t asked_ = 0;
  std::deque<std::uint64_t> waiting_;
  bool taken_ = false;
};

}  // namespace cpns::server
