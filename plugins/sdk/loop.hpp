#pragma once
// The host's timers and descriptor watches (cpns.timer/1, cpns.fd/1) for radios in C++, with std::function instead
// of function and user pointers.

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "../abi/ext/fd.h"
#include "../abi/ext/timer.h"
#include "transport.hpp"

namespace cpns::sdk {

/// Callbacks run in the instance's thread of the host, one at a time; an exception that leaves one becomes a log
/// line. [any-thread] except stop() and the destructor.
class loop {
 public:
  /// A handle of one watched descriptor; copies refer to the same watch.
  class watch {
   public:
    watch() = default;
    /// Replaces the events (CPNS_FD_) to wait for; 0: none, until the next call.
    void wait_for(std::uint32_t events) const {
      if (of_ != nullptr) of_->fds_->change(of_->context_, id_, events);
    }

   private:
    friend class loop;
    watch(loop* of, std::uint64_t id, std::uint64_t task) : of_(of), id_(id), task_(task) {}
    loop* of_ = nullptr;
    std::uint64_t id_ = 0, task_ = 0;
  };
  /// A handle of one timer; copies refer to the same timer.
  class timer {
   public:
    timer() = default;

   private:
    friend class loop;
    timer(std::uint64_t id, std::uint64_t task) : id_(id), task_(task) {}
    std::uint64_t id_ = 0, task_ = 0;
  };

  /// Throws sdk::unavailable if the host lacks these extensions: it is older than interface 1.1.
  explicit loop(const host& out)
      : out_(out), context_(out.context()), timer_(out.find<cpns_ext_timer>(CPNS_EXT_TIMER)),
        fds_(out.find<cpns_ext_fd>(CPNS_EXT_FD)) {
    if (timer_ == nullptr || fds_ == nullptr)
      throw unavailable{"this radio needs the host's cpns.timer/1 (with timers) and cpns.fd/1: a host of "
                        "interface 1.1 or newer"};
  }
  ~loop() { stop(); }
  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;

  /// Milliseconds of a monotonic clock, that of the timers: it is simulated where their time is.
  [[nodiscard]] std::uint64_t now() const { return timer_->now_ms(context_); }
  /// Calls `due` once, `ms` from now; never after stop(). The result may be ignored; it serves cancel().
  timer after(std::uint64_t ms, std::function<void()> due) {
    std::lock_guard lock{guard_};
    if (stopped_) return {};
    auto& t = keep([due = std::move(due)](std::uint32_t) { due(); }, true);
    const auto number = t.number;
    t.id = timer_->start(
        context_, ms, [](void* user) { static_cast<task*>(user)->run(0); }, &t);
    return {t.id, number};
  }
  /// When this returns, the timer's callback does not run and is not called again (called from a callback, it does
  /// not wait). Timers that have ended are ignored. Hold no lock that the callback takes.
  void cancel(const timer& t) {
    if (t.id_ == 0) return;
    timer_->stop(context_, t.id_);
    drop(t.task_);
  }
  /// Calls `ready(events)` while the descriptor is in one of the states `events` (CPNS_FD_). The caller keeps
  /// ownership of `fd` and closes it after forget(). Throws sdk::unavailable if it cannot be watched.
  watch on(int fd, std::uint32_t events, std::function<void(std::uint32_t)> ready) {
    std::lock_guard lock{guard_};
    if (stopped_) return {};
    auto& t = keep(std::move(ready), false);
    t.id = fds_->watch(
        context_, fd, events, [](void* user, std::uint32_t e) { static_cast<task*>(user)->run(e); }, &t);
    const auto id = t.id, number = t.number;
    if (id != 0) return {this, id, number};
    tasks_.erase(number);
    throw unavailable{"the host cannot watch descriptor " + std::to_string(fd)};
  }
  /// Ends the watch. When this returns, its callback does not run and is not called again (called from a callback,
  /// it does not wait). Hold no lock that the callback takes.
  void forget(const watch& w) {
    if (w.of_ == nullptr) return;
    fds_->unwatch(context_, w.id_);
    drop(w.task_);
  }
  /// Ends all timers and watches and waits for the callback that runs. Must not be called from a callback.
  void stop() {
    for (;;) {
      std::shared_ptr<task> next;
      {
        std::lock_guard lock{guard_};
        stopped_ = true;
        if (tasks_.empty()) return;
        next = tasks_.begin()->second;
      }
      if (next->is_timer)
        timer_->stop(context_, next->id);
      else
        fds_->unwatch(context_, next->id);
      drop(next->number);
    }
  }

 private:
  struct task : std::enable_shared_from_this<task> {
    loop* of = nullptr;
    std::uint64_t number = 0, id = 0;
    bool is_timer = false;
    std::function<void(std::uint32_t)> call;
    void run(std::uint32_t events) noexcept {
      const auto alive = shared_from_this();  // the callback may forget() its own watch
      detail::guarded(of->out_, "a timer or descriptor callback", [&] { return call(events), CPNS_OK; });
      if (is_timer) of->drop(number);
    }
  };

  /// Call it with the lock held.
  task& keep(std::function<void(std::uint32_t)> call, bool is_timer) {
    auto t = std::make_shared<task>();
    t->of = this;
    t->number = ++last_;
    t->is_timer = is_timer;
    t->call = std::move(call);
    return *(tasks_[t->number] = std::move(t));
  }
  void drop(std::uint64_t number) {
    std::shared_ptr<task>
        gone;  // destroyed after the lock is released: its captures may take locks of the radio
    std::lock_guard lock{guard_};
    if (const auto it = tasks_.find(number); it != tasks_.end()) {
      gone = std::move(it->second);
      tasks_.erase(it);
    }
  }

  const host out_;
  void* const context_;
  const cpns_ext_timer* const timer_;
  const cpns_ext_fd* const fds_;
  std::mutex guard_;
  bool stopped_ = false;
  std::uint64_t last_ = 0;
  std::unordered_map<std::uint64_t, std::shared_ptr<task>> tasks_;
};

}  // namespace cpns::sdk
