#pragma once
// One connection of the HTTP server. Private to api/.

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "api/http_server.hpp"
#include "api/places.hpp"
#include "base/seldom.hpp"
#include "crypto/tls_source.hpp"

namespace cpns::api::detail {

/// Shared by the connections of a server; outlives them.
struct shared_state {
  shared_state(http_parts p, boost::asio::thread_pool& w, boost::asio::thread_pool& of_probes)
      : parts(std::move(p)), workers(w), probe_workers(of_probes) {}

  const http_parts parts;
  boost::asio::thread_pool& workers;
  boost::asio::thread_pool& probe_workers;  ///< for the routes of probes
  places running;                           ///< requests of routes with a bound, by verb and path
  places readers, readers_of_peers;         ///< of events: all together, and by key_of
  std::mutex guard;
  std::shared_ptr<const access_rules> access;
  std::shared_ptr<crypto::tls_source> tls;  ///< of `api.listen`; set before the first connection
  seldom full;
  std::atomic<std::size_t> connections = 0;
  std::atomic<std::uint64_t> requests = 0, problems = 0, forbidden = 0, turned_away = 0, cut_off = 0;
  std::array<std::atomic<std::uint64_t>, handshake_end_names.size()> handshake_ends{};
  std::array<std::atomic<std::uint64_t>, 6> answers{};  ///< by status / 100

  void count_answer(unsigned status) { ++answers[std::min<std::size_t>(status / 100, answers.size() - 1)]; }
  /// For one more reader of events of this key (key_of), or why there is none.
  tl::expected<place, problem> place_for_reader(const std::string& key);
  void count_handshake(handshake_end e) { ++handshake_ends[index_of(e)]; }
  /// nullptr if as many requests of the route run as may.
  place slot_for(const route& r) {
    return running.take_below(std::string{name_of(r.verb)} + " " + r.path, r.at_once);
  }
  [[nodiscard]] std::shared_ptr<const access_rules> rules() {
    std::lock_guard lock{guard};
    return access;
  }
};

using session_clock = std::chrono::steady_clock;

class session_base {
 public:
  explicit session_base(std::string peer_key) : key(std::move(peer_key)) {}
  virtual ~session_base() = default;
  session_base(const session_base&) = delete;
  session_base& operator=(const session_base&) = delete;

  const std::string key;  ///< the peer for which its connections are counted
  /// Nanoseconds of the steady clock since which it waits for a request; 0 while it works. [thread-safe]
  std::atomic<std::int64_t> idle_since = 0;
  /// As a value of idle_since: it was answered and ends, so it makes room for others before those that wait.
  static constexpr std::int64_t leaves_first = 1;

  virtual void start() = 0;
  /// Closes at once. [thread-safe]
  virtual void abandon() = 0;
  /// Ends a connection whose certificate was revoked, has a lower level now, or has been open for too long. On the io
  /// thread.
  virtual void judge() = 0;
};

/// Where a connection came in.
enum class door : std::uint8_t { unix_socket, tls, probes };

/// Where a connection comes from.
struct origin {
  door at = door::unix_socket;
  peer who;
  std::vector<std::string> own_hosts;  ///< host:port as a client may name this role; empty on a Unix socket
  std::string key;                     ///< for which its connections are counted
  detail::place held;
};

using unix_stream = boost::asio::local::stream_protocol::socket;
using tcp_stream = boost::asio::ip::tcp::socket;
using tls_stream = boost::asio::ssl::stream<tcp_stream>;

/// The name under which the connections of a client are counted: its user or certificate. All clients without rights share
/// one, so that however many users and certificates they have, most places are left for others.
std::string key_of(const peer& p);
/// host:port; an IPv4 address that came in on an IPv6 socket is shown as IPv4.
std::string address_text(const boost::asio::ip::tcp::endpoint& at);
/// The whole HTTP answer for a client that has no place, with an id of its own.
std::string answer_when_full(const shared_state& shared);

std::shared_ptr<session_base> make_session(shared_state& shared, unix_stream s, origin from);
/// Without TLS, for probes.
std::shared_ptr<session_base> make_session(shared_state& shared, tcp_stream s, origin from);
/// After the handshake; the stream has no operation in progress.
std::shared_ptr<session_base> make_session(shared_state& shared, tls_stream s, origin from);

}  // namespace cpns::api::detail
