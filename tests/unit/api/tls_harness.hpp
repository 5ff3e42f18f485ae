#pragma once
// A server with its port for TLS, real certificates in a folder of its own, and clients that send exactly what a test gives them.

#include <gmock/gmock.h>

#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <fstream>
#include <iterator>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "api/body.hpp"
#include "api/client.hpp"
#include "api/http_server.hpp"
#include "sample_routes.hpp"
#include "tests/unit/crypto/tls_pair.hpp"
#include "tests/unit/server/captured_log.hpp"

namespace cpns::api {

/// Blocks, with a deadline on every call.
class tls_raw {
 public:
  tls_raw(std::uint16_t port, crypto::tls_context context) : tls_(context.release()), stream_(io_, tls_) {
    boost::system::error_code ec;
    stream_.next_layer().connect({boost::asio::ip::address_v4::loopback(), port}, ec);
    if (!ec)
      ec = run([this](auto done) { stream_.async_handshake(boost::asio::ssl::stream_base::client, done); });
    failed_ = ec;
  }
  [[nodiscard]] bool connected() const { return !failed_; }
  bool send(std::string_view text) {
    return !run([this, text](auto done) {
      boost::asio::async_write(stream_, boost::asio::buffer(text.data(), text.size()), done);
    });
  }
  /// Reads until `end` is in what was received, or the server closes.
  std::string receive_until(std::string_view end) {
    while (seen_.find(end) == std::string::npos && more()) {
    }
    return seen_;
  }
  std::string receive_all() {
    while (more()) {
    }
    return seen_;
  }
  void forget() { seen_.clear(); }
  /// Whether the server ended with a TLS close_notify.
  [[nodiscard]] bool ended_properly() const { return last_ == boost::asio::error::eof; }
  [[nodiscard]] SSL* ssl() { return stream_.native_handle(); }

 private:
  template <class Start>
  boost::system::error_code run(Start start) {
    boost::system::error_code result_code = boost::asio::error::timed_out;
    bool done = false;
    start([&result_code, &done](const boost::system::error_code& ec, auto&&...) {
      result_code = ec;
      done = true;
    });
    io_.restart();
    io_.run_for(seconds{20});
    if (done) return result_code;
    boost::system::error_code ignored;
    stream_.next_layer().close(ignored);
    io_.restart();
    io_.run();
    return boost::asio::error::timed_out;
  }
  bool more() {
    std::array<char, 4096> part{};
    std::size_t n = 0;
    last_ = run([&](auto done) {
      stream_.async_read_some(boost::asio::buffer(part),
                              [&n, done](const boost::system::error_code& ec, std::size_t got) mutable {
                                n = got;
                                done(ec);
                              });
    });
    seen_.append(part.data(), n);
    return !last_;
  }

  boost::asio::io_context io_;
  boost::asio::ssl::context tls_;
  boost::asio::ssl::stream<boost::asio::ip::tcp::socket> stream_;
  boost::system::error_code failed_, last_;
  std::string seen_;
};

/// Keeps what was refused.
class refused_changes final : public change_log {
 public:
  result<number> begin(const change&) override { return number{1}; }
  void finish(number, const problem*, const boost::json::value&) override {}
  void refused(const change& c, const problem& why) override {
    const std::lock_guard lock{guard_};
    lines_ += c.action + " by " + c.from.text() + ": " + why.code + ": " + why.detail + "\n";
  }
  /// Waits until `what` is in a line; returns all lines.
  std::string wait_for(std::string_view what) {
    const auto until = std::chrono::steady_clock::now() + seconds{10};
    for (;;) {
      {
        const std::lock_guard lock{guard_};
        if (lines_.find(what) != std::string::npos || std::chrono::steady_clock::now() > until) return lines_;
      }
      std::this_thread::yield();
    }
  }

 private:
  std::mutex guard_;
  std::string lines_;
};

class tls_door_test : public testing::Test {
 protected:
  crypto::tls_home home;
  server_tests::captured_log log;
  refused_changes changes;
  event_hub hub{"run1"};
  config::api_config settings;
  std::shared_ptr<doors> places = std::make_shared<doors>();
  std::unique_ptr<http_server> server;

  tls_door_test() {
    const auto own = files_of("door", server_request());
    settings.socket.reset();
    settings.listen = config::address{"127.0.0.1", 0};
    settings.tls = config::tls_files{own.certificate, own.key, own.ca};
    settings.certificates = {{"urn:cpns:admin:anna", config::api_level::admin},
                             {"urn:cpns:admin:op-*", config::api_level::operator_},
                             {"urn:cpns:admin:*", config::api_level::viewer}};
  }
  static crypto::certificate_request server_request() {
    auto r = crypto::request_for(crypto::certificate_usage::server, "urn:cpns:server:one");
    r.dns = {"localhost"};
    r.ips = {"127.0.0.1"};
    return r;
  }
  crypto::tls_files files_of(const std::string& name, const crypto::certificate_request& r) const {
    return home.files(name, r);
  }
  /// Of the administrator NAME, whose URI is urn:cpns:admin:NAME.
  crypto::tls_files admin(const std::string& name) const {
    return files_of(name, crypto::request_for(crypto::certificate_usage::client, "urn:cpns:admin:" + name));
  }
  static crypto::tls_context context_of(const crypto::tls_files& files) {
    auto made = crypto::make_api_client_tls(files);
    EXPECT_TRUE(made) << made.error().message();
    return std::move(*made);
  }

  static route_table routes(event_hub& hub) {
    route_table t;
    t.add({.verb = verb::get, .path = "/v1/hello", .handle = [](const request& r) -> outcome {
             response out;
             out.body = "{\"hello\":\"" + r.from.text() + "\"}\n";
             return out;
           }});
    for (const auto& [path, needs] : {std::pair{"/v1/work", level::operator_}, {"/v1/rule", level::admin}})
      t.add({.verb = verb::put,
             .path = path,
             .needs = needs,
             .handle = [](const request&) -> outcome {
               response out;
               out.status = 204;
               return out;
             },
             .action = std::string{path}.substr(4)});
    t.add(upload());
    t.add({.verb = verb::get, .path = "/v1/events", .handle = [&hub](const request&) -> outcome {
             response out;
             out.events = &hub;
             out.after = hub.newest();
             out.body = event_text(hub.id_of(out.after), "snapshot", "{}");
             return out;
           }});
    return t;
  }
  void start(http_limits limits = {}) {
    auto made = http_server::start(settings, {.component = "server",
                                              .routes = routes(hub),
                                              .changes = &changes,
                                              .events = &hub,
                                              .limits = limits,
                                              .doors = places});
    ASSERT_TRUE(made) << made.error().message();
    server = std::move(*made);
  }
  [[nodiscard]] std::uint16_t port() const { return server->tls_port(); }
  [[nodiscard]] std::string hello(std::string_view host = {}) const {
    return "GET /v1/hello HTTP/1.1\r\nHost: " +
           (host.empty() ? "127.0.0.1:" + std::to_string(port()) : std::string{host}) + "\r\n\r\n";
  }
  /// The status of one request by this client.
  unsigned ask(const crypto::tls_files& who, verb v, const std::string& path) {
    auto c = client::connect({"127.0.0.1", port()}, who);
    EXPECT_TRUE(c) << c.error().message();
    if (!c) return 0;
    const auto got = c->ask(v, path);
    EXPECT_TRUE(got) << got.error().message();
    return got ? got->status : 0;
  }
  std::string serial_of(const crypto::tls_files& files) const {
    std::ifstream in{files.certificate};
    const std::string pem{std::istreambuf_iterator<char>{in}, {}};
    return crypto::certificate_of(home.ca, pem).value().serial;
  }
  void revoke(const std::vector<crypto::tls_files>& who) {
    crypto::revocation_list l{
        1, now_wall() - std::chrono::minutes{1}, now_wall() + std::chrono::days{30}, {}};
    for (const auto& files : who)
      l.revoked.push_back({serial_of(files), now_wall() - std::chrono::minutes{1}});
    settings.tls->crl = home.write("ca.crl", crypto::make_crl(home.ca, l).value(), 0644);
  }
};

}  // namespace cpns::api
