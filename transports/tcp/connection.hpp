#pragma once
// One TCP connection that carries frames. Everything except `send` runs in the instance's thread.

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "plugins/sdk/transport.hpp"
#include "transports/tcp/descriptors.hpp"
#include "transports/tcp/settings.hpp"

namespace cpns::tcp {

namespace asio = boost::asio;

// With the executor of an io_context instead of any executor, a socket has half the size.
using executor = asio::io_context::executor_type;
using stream = asio::basic_stream_socket<asio::ip::tcp, executor>;
using timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, executor>;

/// Counted since the instance was opened. [any-thread]
struct counters {
  using counter = std::atomic<std::uint64_t>;
  counter frames_sent{0}, frames_received{0};
  counter links_dead{0};  ///< links whose peer did not answer for dead_ms
  counter probes{0};      ///< keepalives sent because of a beacon
  // Gateway: connections that never became links, by reason.
  counter strangers_bad_hello{0}, strangers_other_network{0}, strangers_oversized{0}, strangers_too_slow{0};
  counter strangers_silent{0};      ///< ended before their hello was complete
  counter strangers_over_limit{0};  ///< above max_links, or the files that this process may open
  counter beacons{0};               ///< datagrams sent
  // PNE:
  counter beacons_heard{0};                                ///< of this network
  counter beacons_malformed{0}, beacons_other_network{0};  ///< ignored
  counter connects_failed{0};
};

class connection;

/// Hears of the connections of an instance. Called in the instance's thread.
class connection_listener {
 public:
  connection_listener() = default;
  connection_listener(const connection_listener&) = delete;
  connection_listener& operator=(const connection_listener&) = delete;
  virtual ~connection_listener() = default;
  /// The first frame after expect_hello(). Calls start() or close().
  virtual void hello_in(connection& c, std::span<const std::uint8_t> body) = 0;
  virtual void frame_in(connection& c, std::span<const std::uint8_t> body) = 0;
  /// Once, as the last call.
  virtual void closed(connection& c, cpns_down_reason why, const std::string& detail) = 0;
  virtual void writable(connection& c) = 0;
};

/// What all connections of an instance use. Outlives them.
struct connection_base {
  const settings& rules;
  counters& counted;
  connection_listener& listener;
  std::vector<std::uint8_t> buffer;  ///< into which each of them reads in its turn
};

/// Most links are idle most of the time, and a gateway has tens of thousands, so a connection holds memory for bytes and
/// for timers only while a frame is under way.
class connection : public std::enable_shared_from_this<connection> {
 public:
  connection(stream socket, connection_base& base);
  /// Reads the first frame, which must arrive within `handshake_ms`.
  void expect_hello();
  /// From now on it is this link of this endpoint, and its frames are reported.
  void start(std::uint64_t link, std::uint64_t endpoint);
  /// [any-thread] CPNS_OK, or CPNS_WOULD_BLOCK if the queue is full.
  cpns_status send(std::span<const std::uint8_t> data);
  void close(cpns_down_reason why, const std::string& detail);
  /// Checks with a keepalive whether the peer's kernel still knows the connection; at most once in ten seconds,
  /// and not if the peer was heard within the last second.
  void probe();
  [[nodiscard]] std::string peer() const;
  /// 0 before start().
  [[nodiscard]] std::uint64_t link() const { return link_; }
  [[nodiscard]] std::uint64_t endpoint() const { return endpoint_; }
  /// Whether a frame of the link arrived.
  [[nodiscard]] bool heard() const { return heard_; }

 private:
  void failed(const boost::system::error_code& wrong);
  void wait_for_bytes();
  void read();
  void take(std::span<const std::uint8_t> bytes);
  /// Reports the whole frames at the begin of `bytes`; returns their size.
  std::size_t take_frames(std::span<const std::uint8_t> bytes);
  void write();
  void start_timeout(std::uint64_t ms);

  counted_connection counted_;
  stream socket_;
  connection_base& base_;
  std::uint64_t link_ = 0, endpoint_ = 0;
  std::unique_ptr<timer> timeout_, probing_;  ///< null unless one runs
  std::chrono::steady_clock::time_point may_probe_;
  std::vector<std::uint8_t> partial_;  ///< the begin of a frame whose rest has not arrived
  bool reading_ = false, closed_ = false;
  bool stranger_ = false;  ///< its hello has not arrived
  bool heard_ = false;

  // Guarded by guard_, except out_, which only the instance's thread uses.
  bool writing_ = false, blocked_ = false;
  std::mutex guard_;
  std::vector<std::uint8_t> queued_, out_;
};

}  // namespace cpns::tcp
