#pragma once
// A server's name may have several addresses, and any of them may be dead: connection attempts start in turn, a
// moment apart, and the first that succeeds is used (RFC 8305). Not thread-safe: all in the thread of the
// io_context.

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "base/clock.hpp"

namespace cpns::actors {

/// The order of the attempts: the two families alternate, beginning with the family of the resolver's first
/// address; then rotated by `first`, modulo their number.
std::vector<boost::asio::ip::tcp::endpoint>
in_turn(const std::vector<boost::asio::ip::tcp::endpoint>& resolved, std::size_t first);

class address_race : public std::enable_shared_from_this<address_race> {
 public:
  using socket = boost::asio::ip::tcp::socket;
  using endpoint = boost::asio::ip::tcp::endpoint;
  using failure = boost::system::error_code;
  /// `place`: index of the address that was reached. `wrong`: the error of the last attempt that failed.
  using done_fn = std::function<void(const failure& wrong, socket reached, std::size_t place)>;

  /// Starts the next attempt when the previous one failed or has run for `head_start`. Calls `done` once,
  /// unless cancelled first. Has no overall timeout.
  static std::shared_ptr<address_race> start(boost::asio::io_context& io, std::vector<endpoint> addresses,
                                             milliseconds head_start, done_fn done);
  /// Ends all attempts; `done` is not called afterwards.
  void cancel();

 private:
  address_race(boost::asio::io_context& io, std::vector<endpoint> addresses, milliseconds head_start,
               done_fn done);
  void next();
  void ended(std::size_t place, const failure& wrong);
  void finish(const failure& wrong, socket reached, std::size_t place);

  boost::asio::io_context& io_;
  std::vector<endpoint> addresses_;
  std::vector<std::unique_ptr<socket>> attempts_;  ///< one per address that was tried
  std::size_t failed_ = 0;
  milliseconds head_start_;
  boost::asio::steady_timer timer_;
  done_fn done_;
};

}  // namespace cpns::actors
