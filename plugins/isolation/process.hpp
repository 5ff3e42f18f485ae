#pragma once
// The process of one isolated radio: how the role starts, kills and reaps it, and its main function (child.cpp).

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace cpns::plugins::isolation {

/// The first argument of a radio's process. After it come the number of the socket and the name of the transport
/// (shown in process lists); everything else comes over the socket.
inline constexpr const char* radio_child_flag = "--cpns-radio-child";

/// The main function of a radio's process: loads the plugin and serves the role that started it. main() calls it
/// first if argv[1] is radio_child_flag. Returns only if the arguments are wrong.
int radio_child_main(int argc, char** argv);

/// Owns the process and the role's end of its socket. Not thread-safe; the process dies with the thread that
/// started it.
class radio_process {
 public:
  /// Starts this executable with radio_child_flag. plugin_load if the system refuses.
  static result<radio_process> start(const std::string& transport);

  radio_process(radio_process&& other) noexcept;
  radio_process& operator=(radio_process&&) = delete;
  radio_process(const radio_process&) = delete;
  radio_process& operator=(const radio_process&) = delete;
  /// Kills it if it still runs and waits for its end, at most one second.
  ~radio_process();

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] int socket() const { return socket_; }  ///< non-blocking
  [[nodiscard]] int watch() const { return watch_; }    ///< readable when the process has ended
  void kill();
  /// Reaps the process if it has ended: how it ended ("was killed by signal 9 (Killed)"). nullopt: it still runs.
  std::optional<std::string> ended();

 private:
  radio_process() = default;
  pid_t pid_ = -1;
  int socket_ = -1, watch_ = -1;
};

}  // namespace cpns::plugins::isolation
