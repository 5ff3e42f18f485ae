#pragma once
// One TCP connection as frames, and what all connections of an instance share. Everything but `send` runs in
// the instance's one thread.

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "plugins/sdk/transport.hpp"
#include "transports/tcp/settings.hpp"

namespace cpns::tcp {

namespace asio = boost::asio;

class connection : public std::enable_shared_from_this<connection> {
 public:
  /// Told in the instance's thread. `closed` is the last call and comes once.
  struct events {
    std::function<void(std::span<const std::uint8_t>)> frame_in;
    std::function<void(cpns_down_reason, const std::string&)> closed;
    std::function<void()> writable;
  };

  connection(asio::ip::tcp::socket socket, const settings& s);
  /// Reads one frame, which has to be there within `handshake_ms`, and hands it to `hello`, which calls
  /// start() or close().
  void expect_hello(std::function<void(std::span<const std::uint8_t>)> hello, std::function<void()> gone);
  void start(events e);
  /// [any-thread] CPNS_OK, or CPNS_WOULD_BLOCK if the queue is full.
  cpns_status send(std::span<const std::uint8_t> data);
  void close(cpns_down_reason why, const std::string& detail);
  [[nodiscard]] std::string peer() const;

 private:
  void read();
  void take_frames();
  void write();
  void watch(std::uint64_t ms);

  asio::ip::tcp::socket socket_;
  asio::steady_timer patience_;
  const settings& settings_;
  events events_;
  std::function<void(std::span<const std::uint8_t>)> hello_;
  std::vector<std::uint8_t> in_;
  std::size_t have_ = 0;
  bool reading_ = false, watching_ = false, closed_ = false;

  std::mutex guard_;  // of the three below
  std::vector<std::uint8_t> queued_;
  bool writing_ = false, blocked_ = false;
  std::vector<std::uint8_t> out_;
};

/// Since the instance was opened. [any-thread]
struct counters {
  std::atomic<std::uint64_t> frames_sent{0}, frames_received{0};
  std::atomic<std::uint64_t> strangers_refused{0};  ///< connections that said another hello, or none
  std::atomic<std::uint64_t> beacons{0};            ///< datagrams
};

/// The io_context of an instance, its thread, and its links by id.
class hub {
 public:
  hub(sdk::host out, settings s);
  virtual ~hub() = default;

  cpns_status send(std::uint64_t link, std::span<const std::uint8_t> data);
  void disconnect(std::uint64_t link);
  /// Runs the loop in a thread of its own.
  void run();
  /// Closes all links and ends the thread.
  void stop();
  [[nodiscard]] const counters& counted() const { return counters_; }

 protected:
  /// Brings a link up in the host and keeps it until it is closed; `gone` is called then.
  void adopt(const std::shared_ptr<connection>& c, std::uint64_t endpoint, const std::string& address,
             std::function<void()> gone);
  [[nodiscard]] std::size_t link_count();
  std::shared_ptr<connection> find(std::uint64_t link);
  /// Ends acceptors and timers; runs in the loop.
  virtual void shut() = 0;

  sdk::host out_;
  settings settings_;
  counters counters_;
  std::uint64_t links_max_;  ///< settings_.max_links, or what fits
  asio::io_context io_{1};
  bool stopping_ = false;

 private:
  std::mutex guard_;
  std::unordered_map<std::uint64_t, std::shared_ptr<connection>> links_;
  std::uint64_t next_link_ = 0;
  std::unique_ptr<asio::io_context::work> work_;
  std::thread thread_;
};

}  // namespace cpns::tcp
