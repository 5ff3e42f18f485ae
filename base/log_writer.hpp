#pragma once
// The queue of the log and its thread. Internal to the log.

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.hpp"
#include "base/log_output.hpp"

namespace cpns::log::detail {

/// A role that writes its own log lines waits for the disk with each of them, so a slow disk slows down key
/// assignments. Here one thread per process writes the lines, in pieces of up to 64 KiB: the first line after a
/// pause at once, then all that came within 5 ms. The queue is bounded (queue_lines_max, queue_bytes_max); a line
/// without room is dropped, and counted in a line once there is room. A failed write is repeated every second, and
/// reported once it succeeds. No lock is held during a write. [thread-safe]
class writer {
 public:
  /// The one of the process. Never destroyed, because threads log until the process ends.
  static writer& instance();

  /// Starts the thread, with all signals blocked, unless it runs or this is a child made by fork. internal if the
  /// system provides no thread.
  status start();
  /// From now on the writer's own lines go to `to`, and so do those of an older output that fails or takes nothing.
  void use(std::shared_ptr<output> to, format form);
  /// Queues one line, with its line break. Without the thread: writes it.
  void put(const std::shared_ptr<output>& to, std::string_view line, bool is_error);
  bool flush(std::chrono::milliseconds limit);
  counters counts();

  /// A fork copies a locked mutex, but not the thread that would unlock it.
  void before_fork();
  void after_fork_in_parent();
  void after_fork_in_child();

 private:
  enum class urgency : std::uint8_t { calm, soon, now };
  struct piece {
    std::shared_ptr<output> to;
    std::string bytes;
    std::size_t lines = 0;
  };
  struct failure {
    std::chrono::steady_clock::time_point since;
    std::uint64_t attempts = 0;
    int error = 0;  ///< an errno
  };

  writer() = default;
  void run();
  void wait_for_lines(std::unique_lock<std::mutex>& lock);
  void write_out(std::unique_lock<std::mutex>& lock, piece& p);
  void failed(std::unique_lock<std::mutex>& lock, const piece& p, int error);
  void append(const std::shared_ptr<output>& to, std::string_view line);
  void append_own(std::string_view event, std::string_view text, std::initializer_list<field> fields);
  void say_dropped(bool at_once);
  void say_working_again();
  [[nodiscard]] bool is_crowded() const;

  std::mutex guard_;
  std::condition_variable more_, written_out_;
  std::deque<piece> queue_;
  std::string spare_;                  ///< the memory of the last piece
  std::size_t lines_ = 0, bytes_ = 0;  ///< in the queue and in the piece that is being written
  std::uint64_t accepted_ = 0;         ///< lines
  counters counts_;
  std::uint64_t said_dropped_ = 0;  ///< of counts_.dropped
  std::chrono::steady_clock::time_point said_at_{};
  std::optional<failure> failing_;
  std::shared_ptr<output> newest_;
  format form_ = format::text;
  urgency urgency_ = urgency::calm;
  bool idle_ = false;  ///< the thread waits for a first line
  bool running_ = false;
  bool forked_ = false;
};

}  // namespace cpns::log::detail
