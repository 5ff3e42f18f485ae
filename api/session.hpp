#pragma once
// One connection of the HTTP server. Private to api/.

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <mutex>
#include <string>

#include "api/http_server.hpp"
#include "base/seldom.hpp"

namespace cpns::api::detail {

/// Shared by the connections of a server; outlives them.
struct shared_state {
  shared_state(http_parts p, boost::asio::thread_pool& w) : parts(std::move(p)), workers(w) {}

  const http_parts parts;
  boost::asio::thread_pool& workers;
  std::mutex guard;
  std::shared_ptr<const access_rules> access;
  seldom full;
  std::atomic<std::size_t> connections = 0, event_readers = 0;
  std::atomic<std::uint64_t> requests = 0, problems = 0, forbidden = 0, turned_away = 0, cut_off = 0;
  std::array<std::atomic<std::uint64_t>, 6> answers{};  ///< by status / 100

  void count_answer(unsigned status) { ++answers[std::min<std::size_t>(status / 100, answers.size() - 1)]; }
  [[nodiscard]] std::shared_ptr<const access_rules> rules() {
    std::lock_guard lock{guard};
    return access;
  }
};

class session_base {
 public:
  explicit session_base(std::string peer_key) : key(std::move(peer_key)) {}
  virtual ~session_base() = default;
  session_base(const session_base&) = delete;
  session_base& operator=(const session_base&) = delete;

  const std::string key;  ///< the peer for which its connections are counted
  /// Nanoseconds of the steady clock since which it waits for a request; 0 while it works. [thread-safe]
  std::atomic<std::int64_t> idle_since = 0;

  virtual void start() = 0;
  /// Closes at once. [thread-safe]
  virtual void abandon() = 0;
};

/// Where a connection came in.
enum class door : std::uint8_t { unix_socket, tls, probes };

/// Places that a peer may take: one connection holds one, and gives it back when it is destroyed.
using place = std::shared_ptr<void>;

/// Where a connection comes from.
struct origin {
  door at = door::unix_socket;
  peer who;
  std::string own_host;  ///< host:port of the listener; empty on a Unix socket
  std::string key;       ///< for which its connections are counted
  detail::place held;
};

using unix_stream = boost::asio::local::stream_protocol::socket;
using tcp_stream = boost::asio::ip::tcp::socket;
std::shared_ptr<session_base> make_session(shared_state& shared, unix_stream s, origin from);
/// Without TLS, for probes.
std::shared_ptr<session_base> make_session(shared_state& shared, tcp_stream s, origin from);

}  // namespace cpns::api::detail
