#pragma once
// Timers and descriptors of one plugin instance: what cpns.timer/1 and cpns.fd/1 reach, and cpns.clock/1
// where time is simulated.

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "plugins/abi/ext/clock.h"
#include "plugins/abi/ext/fd.h"
#include "plugins/abi/ext/timer.h"
#include "plugins/host/simulated_clock.hpp"

namespace cpns::plugins {

/// A thread of its own, made at the first use, so that a plugin which blocks in it holds up nobody else.
/// [thread-safe]
class event_loop {
 public:
  /// `threw` is told when a function of the plugin ends with an exception. `simulated`, which outlives this,
  /// stands for real time.
  explicit event_loop(std::function<void()> threw, simulated_clock* simulated = nullptr);
  ~event_loop();
  event_loop(const event_loop&) = delete;
  event_loop& operator=(const event_loop&) = delete;

  [[nodiscard]] std::uint64_t now_ms() const;
  [[nodiscard]] bool is_simulated() const { return simulated_ != nullptr; }
  /// As plugins/abi/ext/clock.h says; nothing after end(), which releases what is held.
  void hold();
  void release();
  /// As plugins/abi/ext/timer.h says; 0 after end().
  std::uint64_t start(std::uint64_t after_ms, void (*due)(void*), void* user);
  /// As plugins/abi/ext/fd.h says; 0 after end().
  std::uint64_t watch(int fd, std::uint32_t events, void (*ready)(void*, std::uint32_t), void* user);
  void change(std::uint64_t watch, std::uint32_t events);
  /// A timer or a watch: not called any more, and not running, unless this is the loop's own thread.
  void stop(std::uint64_t id);
  /// Ends the thread and forgets everything. Not from the loop's own thread.
  void end();

 private:
  class impl;
  /// What is there; with `make` it is made, unless the loop was ended.
  std::shared_ptr<impl> made(bool make);

  const std::function<void()> threw_;
  simulated_clock* const simulated_;
  std::mutex guard_;
  std::shared_ptr<impl> impl_;  ///< costs descriptors, so it is there only while it is of use
  std::vector<simulated_clock::hold> held_;
  bool ended_ = false;
};

/// The extensions of a host whose `context` leads to an event_loop by `LoopOf`; nullptr for other ids.
template <event_loop& (*LoopOf)(void* context)>
const void* loop_extension(void* context, const char* id) {
  static constexpr cpns_ext_timer timer{sizeof(cpns_ext_timer), 0, [](void* c) { return LoopOf(c).now_ms(); },
                                        [](void* c, std::uint64_t after, void (*due)(void*), void* user) {
                                          return due == nullptr ? 0 : LoopOf(c).start(after, due, user);
                                        },
                                        [](void* c, std::uint64_t timer_id) { LoopOf(c).stop(timer_id); }};
  static constexpr cpns_ext_fd fd{
      sizeof(cpns_ext_fd), 0,
      [](void* c, int of, std::uint32_t events, void (*ready)(void*, std::uint32_t), void* user) {
        return ready == nullptr ? 0 : LoopOf(c).watch(of, events, ready, user);
      },
      [](void* c, std::uint64_t watch, std::uint32_t events) { LoopOf(c).change(watch, events); },
      [](void* c, std::uint64_t watch) { LoopOf(c).stop(watch); }};
  static constexpr cpns_ext_clock clock{sizeof(cpns_ext_clock), 0, [](void* c) { LoopOf(c).hold(); },
                                        [](void* c) { LoopOf(c).release(); }};
  if (id == nullptr) return nullptr;
  if (std::strcmp(id, CPNS_EXT_TIMER) == 0) return &timer;
  if (std::strcmp(id, CPNS_EXT_FD) == 0) return &fd;
  if (std::strcmp(id, CPNS_EXT_CLOCK) == 0 && LoopOf(context).is_simulated()) return &clock;
  return nullptr;
}

}  // namespace cpns::plugins
