#pragma once
// An answer of a role that does not end, such as a watch, for a program that waits for other things meanwhile: signals,
// children, another answer.

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "api/http.hpp"
#include "base/result.hpp"

namespace cpns::api {

/// One request over the Unix socket of a role, on a connection of its own. Nothing blocks. Every buffer is wiped. Not
/// thread-safe.
class open_answer {
 public:
  /// Connects and sends. `body`: JSON, or empty; at most a few kilobytes, because nothing waits until it is sent. Errors of
  /// connect_socket; peer_closed.
  static result<open_answer> ask(const std::string& path, const std::string& access_hint, verb v,
                                 const std::string& target, std::string_view body = {});
  open_answer(open_answer&&) noexcept;
  open_answer& operator=(open_answer&&) noexcept;
  ~open_answer();

  /// Readable when read() has something to do.
  [[nodiscard]] int fd() const;
  using taker = std::function<void(std::string_view piece)>;
  /// Reads what has come, up to a bound, so that other things have a turn. `take` gets each piece of the body, when http_status()
  /// is known. peer_closed if the connection ended before the answer was complete, or it is not HTTP.
  status read(const taker& take);
  [[nodiscard]] unsigned http_status() const;  ///< 0 before it came
  [[nodiscard]] std::string type() const;      ///< Content-Type
  [[nodiscard]] bool complete() const;

 private:
  struct impl;
  explicit open_answer(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

}  // namespace cpns::api
