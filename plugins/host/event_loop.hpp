#pragma once
// Implements cpns.timer/1 and cpns.fd/1 for one plugin instance, and cpns.clock/1 where time is simulated.

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

/// Runs callbacks in its own thread, started at the first use, so that a plugin that blocks in one delays no other
/// radio. [thread-safe]
class event_loop {
 public:
  /// `threw` is called when a callback of the plugin throws. `simulated`, if given, replaces real time and must
  /// outlive this.
  explicit event_loop(std::function<void()> threw, simulated_clock* simulated = nullptr);
  ~event_loop();
  event_loop(const event_loop&) = delete;
  event_loop& operator=(const event_loop&) = delete;

  [[nodiscard]] std::uint64_t now_ms() const;
  [[nodiscard]] bool is_simulated() const { return simulated_ != nullptr; }
  /// See plugins/abi/ext/clock.h; no effect after end(), which releases all holds.
  void hold();
  void release();
  /// See plugins/abi/ext/timer.h; 0 after end().
  std::uint64_t start(std::uint64_t after_ms, void (*due)(void*), void* user);
  /// See plugins/abi/ext/fd.h; 0 after end().
  std::uint64_t watch(int fd, std::uint32_t events, void (*ready)(void*, std::uint32_t), void* user);
  void change(std::uint64_t watch, std::uint32_t events);
  /// Ends a timer or watch and waits for its callback, unless called from the loop's own thread.
  void stop(std::uint64_t id);
  /// Ends the thread, all timers and all watches. Must not be called from the loop's own thread.
  void end();

 private:
  class impl;
  /// The implementation; with `make` it is created if needed, unless the loop was ended. May be null.
  std::shared_ptr<impl> made(bool make);

  const std::function<void()> threw_;
  simulated_clock* const simulated_;
  std::mutex guard_;
  std::shared_ptr<impl> impl_;  ///< created on demand, because it costs descriptors
  std::vector<simulated_clock::hold> held_;
  bool ended_ = false;
};

/// The extensions that an event_loop implements, for a host whose `context` `LoopOf` maps to its loop; nullptr for
/// other ids.
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
