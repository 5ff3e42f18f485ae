#pragma once
// One TCP connection that carries frames, and the hub that all connections of an instance share. Everything except
// `send` runs in the instance's thread.

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "plugins/sdk/seldom.hpp"
#include "plugins/sdk/transport.hpp"
#include "transports/tcp/settings.hpp"

namespace cpns::tcp {

namespace asio = boost::asio;

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

class connection : public std::enable_shared_from_this<connection> {
 public:
  /// Called in the instance's thread. `closed` is called once, as the last one.
  struct events {
    std::function<void(std::span<const std::uint8_t>)> frame_in;
    std::function<void(cpns_down_reason, const std::string&)> closed;
    std::function<void()> writable;
  };

  connection(asio::ip::tcp::socket socket, const settings& s, counters& n);
  /// Reads the first frame, which must arrive within `handshake_ms`, and passes it to `hello`, which calls start()
  /// or close(). `gone` is called if the connection closes before.
  void expect_hello(std::function<void(std::span<const std::uint8_t>)> hello, std::function<void()> gone);
  void start(events e);
  /// [any-thread] CPNS_OK, or CPNS_WOULD_BLOCK if the queue is full.
  cpns_status send(std::span<const std::uint8_t> data);
  void close(cpns_down_reason why, const std::string& detail);
  /// Checks with a keepalive whether the peer's kernel still knows the connection; at most once in ten seconds,
  /// and not if the peer was heard within the last second.
  void probe();
  [[nodiscard]] std::string peer() const;

 private:
  void failed(const boost::system::error_code& wrong);
  void read();
  void take_frames();
  void write();
  void start_timeout(std::uint64_t ms);

  asio::ip::tcp::socket socket_;
  asio::steady_timer timeout_, probing_;
  std::chrono::steady_clock::time_point may_probe_;
  const settings& settings_;
  counters& counters_;
  events events_;
  std::function<void(std::span<const std::uint8_t>)> hello_;
  std::vector<std::uint8_t> in_;
  std::size_t have_ = 0;
  bool reading_ = false, waiting_ = false, closed_ = false;  ///< waiting_: timeout_ runs

  std::mutex guard_;  // protects the three below
  std::vector<std::uint8_t> queued_;
  bool writing_ = false, blocked_ = false;
  std::vector<std::uint8_t> out_;
};

/// The io_context of an instance, its thread, and its links by id.
class hub {
 public:
  hub(sdk::host out, settings s);
  virtual ~hub() = default;

  cpns_status send(std::uint64_t link, std::span<const std::uint8_t> data);
  void disconnect(std::uint64_t link);
  /// Starts the instance's thread.
  void run();
  /// Closes all links and ends the thread.
  void stop();
  [[nodiscard]] const counters& counted() const { return counters_; }

 protected:
  /// Reports the connection to the host as a link and keeps it until it is closed; then calls `gone`.
  void adopt(const std::shared_ptr<connection>& c, std::uint64_t endpoint, const std::string& address,
             std::function<void()> gone);
  [[nodiscard]] std::size_t link_count();
  /// Counts a refused connection, and logs at most one line per minute. Runs in the instance's thread.
  void turned_away(counters::counter& which, const std::string& address, const std::string& why);
  std::shared_ptr<connection> find(std::uint64_t link);
  /// Ends acceptors and timers. Runs in the instance's thread.
  virtual void shut() = 0;

  sdk::host out_;
  settings settings_;
  counters counters_;
  std::uint64_t links_max_;  ///< settings_.max_links, lowered to links_that_fit()
  asio::io_context io_{1};
  bool stopping_ = false;

 private:
  sdk::seldom turned_away_logged_;
  std::mutex guard_;
  std::unordered_map<std::uint64_t, std::shared_ptr<connection>> links_;
  std::uint64_t next_link_ = 0;
  std::unique_ptr<asio::io_context::work> work_;
  std::thread thread_;
};

}  // namespace cpns::tcp
