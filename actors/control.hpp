#pragma once
// The Unix socket on which `cpns` commands speak to a running role: one line of JSON asks, one line of JSON
// answers.

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/result.hpp"

namespace cpns::actors {

inline constexpr std::size_t control_request_max = 4096;  ///< bytes of a line that asks

/// Serves its clients in a thread of its own; one that has not said its whole line within two seconds is
/// dropped.
class control_server {
 public:
  /// `answer` is called in the server's thread with one line and returns one. The socket has mode 0600. A
  /// socket file that nobody listens on is replaced; state_exists if somebody does; config_file if the path
  /// cannot be used.
  static result<std::unique_ptr<control_server>>
  listen(const std::string& path, std::function<std::string(const std::string&)> answer);
  ~control_server();
  control_server(const control_server&) = delete;
  control_server& operator=(const control_server&) = delete;

 private:
  control_server(std::string path, int fd, std::function<std::string(const std::string&)> answer);
  void run();

  std::string path_;
  int fd_;
  std::function<std::string(const std::string&)> answer_;
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

/// Asks the role that listens at `path`. peer_closed if none does, peer_timeout if it does not answer within
/// ten seconds.
result<std::string> control_call(const std::string& path, const std::string& request);

}  // namespace cpns::actors
