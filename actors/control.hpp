#pragma once
// The Unix socket through which `cpns` commands reach a running role: one line of JSON per request, one per
// answer.

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/result.hpp"

namespace cpns::actors {

inline constexpr std::size_t control_request_max = 4096;  ///< bytes of a request line

/// Serves its clients in its own thread; a client that does not send a complete line within two seconds is
/// closed.
class control_server {
 public:
  /// `answer` maps one request line to one answer line, in the server's thread. The socket has mode 0600. A
  /// stale socket file is replaced. state_exists if a process listens on it; config_file if the path cannot be
  /// used.
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

/// One request to the role that listens at `path`. peer_closed if none does, peer_timeout without an answer
/// within 10 s.
result<std::string> control_call(const std::string& path, const std::string& request);

}  // namespace cpns::actors
