#pragma once
// The process of one radio, seen from the role: started, killed, reaped.

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace cpns::plugins::isolation {

/// Owns the process and this side of its socket. Not thread-safe; the process dies with the thread that
/// started it.
class radio_process {
 public:
  /// Starts this executable as a radio_child_main. plugin_load if the system does not let it.
  static result<radio_process> start(const std::string& transport);

  radio_process(radio_process&& other) noexcept;
  radio_process& operator=(radio_process&&) = delete;
  radio_process(const radio_process&) = delete;
  radio_process& operator=(const radio_process&) = delete;
  /// Kills it if it still runs, and waits for its end, a second at most.
  ~radio_process();

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] int socket() const { return socket_; }  ///< does not block
  [[nodiscard]] int watch() const { return watch_; }    ///< readable when the process has ended
  void kill();
  /// How it ended, in words ("was ended by signal 9 (Killed)"), once it has; it is reaped then.
  std::optional<std::string> ended();

 private:
  radio_process() = default;
  pid_t pid_ = -1;
  int socket_ = -1, watch_ = -1;
};

}  // namespace cpns::plugins::isolation
