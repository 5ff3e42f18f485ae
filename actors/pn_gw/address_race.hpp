#pragma once
// A server's name may have several addresses, and any of them may be dead: they are tried in turn, a moment
// apart, and the first that answers is taken (RFC 8305). Not thread-safe: all in the thread of the
// io_context.

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "base/clock.hpp"

namespace cpns::actors {

/// In the order in which they are tried: the two families take turns, beginning with the one that the
/// resolver names first; then moved on by `first`, modulo their number.
std::vector<boost::asio::ip::tcp::endpoint>
in_turn(const std::vector<boost::asio::ip::tcp::endpoint>& resolved, std::size_t first);

class address_race : public std::enable_shared_from_this<address_race> {
 public:
  using socket = boost::asio::ip::tcp::socket;
  using endpoint = boost::asio::ip::tcp::endpoint;
  using failure = boost::system::error_code;
  /// `place`: which of the addresses was reached. An error is that of the last one that failed.
  using done_fn = std::function<void(const failure& wrong, socket reached, std::size_t place)>;

  /// Tries the next address when the one before failed, or has had `head_start`. Calls `done` once, unless it
  /// is cancelled first; sets no limit to the whole.
  static std::shared_ptr<address_race> start(boost::asio::io_context& io, std::vector<endpoint> addresses,
                                             milliseconds head_start, done_fn done);
  /// Ends all attempts; `done` is not called any more.
  void cancel();

 private:
  address_race(boost::asio::io_context& io, std::vector<endpoint> addresses, milliseconds head_start,
               done_fn done);
  void next();
  void ended(std::size_t place, const failure& wrong);
  void finish(const failure& wrong, socket reached, std::size_t place);

  boost::asio::io_context& io_;
  std::vector<endpoint> addresses_;
  std::vector<std::unique_ptr<socket>> attempts_;  ///< one for each address that was begun with
  std::size_t failed_ = 0;
  milliseconds head_start_;
  boost::asio::steady_timer timer_;
  done_fn done_;
};

}  // namespace cpns::actors
