#pragma once
// Where the API of a role can be reached, for /v1/status.

#include <mutex>
#include <string>

namespace cpns::api {

/// A configured address is not always the real one: the system may choose the port, and an address may exist later.
/// [thread-safe]
class doors {
 public:
  struct places {
    std::string socket;  ///< the path of the Unix socket
    std::string listen;  ///< host:port of the port with TLS
    std::string probes;  ///< host:port of the port for probes
  };
  /// Empty: closed.
  void set(std::string places::*which, std::string at) {
    const std::lock_guard lock{guard_};
    now_.*which = std::move(at);
  }
  [[nodiscard]] places now() const {
    const std::lock_guard lock{guard_};
    return now_;
  }

 private:
  mutable std::mutex guard_;
  places now_;
};

}  // namespace cpns::api
