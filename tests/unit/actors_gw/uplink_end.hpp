#pragma once
// A listener that records the callbacks of an uplink, and servers for it to meet.

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "actors/pn_gw/uplink.hpp"
#include "server/listener.hpp"
#include "tests/unit/crypto/tls_pair.hpp"

namespace cpns::uplink_tests {

/// Records all callbacks. The wait functions take up to ten seconds by default.
class recorder final : public actors::uplink_listener {
 public:
  void up(actors::connection_number connection, secret32 exporter, actors::uplink_peer peer) override {
    std::lock_guard lock{guard_};
    latest_ = connection;
    exporters_.push_back(std::move(exporter));
    servers_.push_back(std::move(peer.server));
    certificates_.push_back(std::move(peer.certificate));
    may_ask_ = peer.may_ask;
    changed_.notify_all();
  }
  void down(actors::connection_number, actors::uplink_end end) override {
    std::lock_guard lock{guard_};
    planned_ += end.planned ? 1 : 0;
    moves_ += end.moving ? 1 : 0;
    downs_.push_back(std::move(end.why));
    changed_.notify_all();
  }
  void frames(actors::connection_number, std::vector<secret_bytes> batch) override {
    std::lock_guard lock{guard_};
    for (auto& f : batch) frames_.push_back(std::move(f));
    changed_.notify_all();
  }
  bool wait_up(std::size_t n = 1) {
    return wait([this, n] { return exporters_.size() >= n; });
  }
  bool wait_down(std::size_t n = 1) {
    return wait([this, n] { return downs_.size() >= n; });
  }
  bool wait_frames(std::size_t n, milliseconds most = seconds{10}) {
    return wait([this, n] { return frames_.size() >= n; }, most);
  }
  [[nodiscard]] std::size_t ups() const {
    std::lock_guard lock{guard_};
    return exporters_.size();
  }
  /// Of the connection that was up last.
  [[nodiscard]] actors::connection_number latest() const {
    std::lock_guard lock{guard_};
    return latest_;
  }
  [[nodiscard]] crypto::peer_certificate certificate() const {
    std::lock_guard lock{guard_};
    return certificates_.back();
  }
  [[nodiscard]] std::size_t planned_ends() const {
    std::lock_guard lock{guard_};
    return planned_;
  }
  [[nodiscard]] std::size_t moves() const {
    std::lock_guard lock{guard_};
    return moves_;
  }
  /// Of the connection that was up last.
  [[nodiscard]] bool may_ask() const {
    std::lock_guard lock{guard_};
    return may_ask_;
  }
  [[nodiscard]] std::vector<std::string> downs() const {
    std::lock_guard lock{guard_};
    return downs_;
  }
  [[nodiscard]] std::vector<secret32> exporters() const {
    std::lock_guard lock{guard_};
    return exporters_;
  }
  [[nodiscard]] std::vector<std::string> servers() const {
    std::lock_guard lock{guard_};
    return servers_;
  }
  [[nodiscard]] std::vector<secret_bytes> frames() const {
    std::lock_guard lock{guard_};
    return frames_;
  }

 private:
  template <class Condition>
  bool wait(Condition c, milliseconds most = seconds{10}) {
    std::unique_lock lock{guard_};
    return changed_.wait_for(lock, most, c);
  }
  mutable std::mutex guard_;
  std::condition_variable changed_;
  actors::connection_number latest_ = 0;
  std::size_t planned_ = 0, moves_ = 0;
  bool may_ask_ = false;
  std::vector<secret32> exporters_;
  std::vector<std::string> servers_, downs_;
  std::vector<crypto::peer_certificate> certificates_;
  std::vector<secret_bytes> frames_;
};

/// The production listener, which sends every frame back.
class echo_server {
 public:
  echo_server(const crypto::tls_files& files, std::uint16_t port = 0,
              const server::link_limits& limits = {}) {
    listener_ = server::listener::start("127.0.0.1", port, crypto::make_server_tls(files).value(), limits,
                                        [this](server::peer_info p, std::shared_ptr<server::link_port> to) {
                                          std::lock_guard lock{guard_};
                                          exporters_.push_back(p.exporter);
                                          ports_.push_back(to);
                                          return std::make_shared<echo>(std::move(to));
                                        })
                    .value();
  }
  [[nodiscard]] std::uint16_t port() const { return listener_->port(); }
  void close_connections() {
    std::lock_guard lock{guard_};
    for (auto& p : std::exchange(ports_, {})) p->close("the test closes it");
  }
  [[nodiscard]] std::vector<secret32> exporters() const {
    std::lock_guard lock{guard_};
    return exporters_;
  }

 private:
  struct echo final : server::link_session {
    explicit echo(std::shared_ptr<server::link_port> p) : port(std::move(p)) {}
    void frames(std::vector<bytes> batch) override {
      for (auto& f : batch) port->send(secret_bytes{std::move(f)});
    }
    void closed() override { port.reset(); }
    std::shared_ptr<server::link_port> port;
  };
  mutable std::mutex guard_;
  std::vector<secret32> exporters_;
  std::vector<std::shared_ptr<server::link_port>> ports_;
  std::unique_ptr<server::listener> listener_;
};

/// A misbehaving server: runs a function of the test on each connection, in one thread. Destroy the uplink
/// first.
class rude_server {
 public:
  using tcp = boost::asio::ip::tcp;
  using stream = boost::asio::ssl::stream<tcp::socket>;
  using talk_fn = std::function<void(stream&)>;

  /// `talk` is called after the handshake; if `context` is null, on the plain connection.
  rude_server(crypto::tls_context context, talk_fn talk)
      : with_tls_(context != nullptr),
        tls_(with_tls_ ? boost::asio::ssl::context{context.release()}
                       : boost::asio::ssl::context{boost::asio::ssl::context::tls}),
        talk_(std::move(talk)), acceptor_(io_, {boost::asio::ip::address_v4::loopback(), 0}),
        port_(acceptor_.local_endpoint().port()), thread_([this] { run(); }) {}
  ~rude_server() { stop(); }
  /// Returns when `talk` has ended for the last connection.
  void stop() {
    if (!thread_.joinable()) return;
    ending_ = true;
    boost::system::error_code ignored;
    tcp::socket last{io_};
    last.connect({boost::asio::ip::address_v4::loopback(), port_}, ignored);
    thread_.join();
  }
  rude_server(const rude_server&) = delete;
  rude_server& operator=(const rude_server&) = delete;
  [[nodiscard]] std::uint16_t port() const { return port_; }

  /// Reads until the peer closes.
  static void wait_gone(stream& s) {
    boost::system::error_code gone;
    char byte = 0;
    while (!gone) s.next_layer().read_some(boost::asio::buffer(&byte, 1), gone);
  }

 private:
  void run() {
    while (!ending_) {
      boost::system::error_code wrong;
      stream s{io_, tls_};
      acceptor_.accept(s.next_layer(), wrong);
      if (wrong || ending_) continue;
      if (with_tls_) s.handshake(stream::server, wrong);
      if (!wrong) talk_(s);
    }
  }

  bool with_tls_;
  boost::asio::io_context io_;
  boost::asio::ssl::context tls_;
  talk_fn talk_;
  tcp::acceptor acceptor_;
  std::uint16_t port_;
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

}  // namespace cpns::uplink_tests
