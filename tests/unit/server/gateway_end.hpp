#pragma once
// A gateway's end of the server link for tests: blocking, one thread, with a deadline on every call.

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <optional>

#include "protocol/codec.hpp"
#include "tests/unit/crypto/tls_pair.hpp"

namespace cpns::server_tests {

class gateway_end {
 public:
  /// Connects and does the handshake; check connected().
  gateway_end(std::uint16_t port, crypto::tls_context context);

  [[nodiscard]] bool connected() const { return error_.empty(); }
  [[nodiscard]] const std::string& error() const { return error_; }

  /// Sends bytes without a header. False: the connection is gone.
  bool send_raw(byte_view b);
  bool send_frame(byte_view body);
  /// The next frame; nullopt if the connection ended, or after ten seconds.
  std::optional<bytes> read_frame();
  /// Waits until the server closes; false after ten seconds.
  bool wait_closed();
  /// After wait_closed: whether the server sent a TLS close_notify.
  [[nodiscard]] bool ended_properly() const { return last_ == boost::asio::error::eof; }

  bool send(const protocol::link_request& r) { return send_frame(encode(r)); }
  std::optional<protocol::link_answer> receive();
  /// Sends one request and waits for its answer.
  std::optional<protocol::link_answer> ask(const protocol::link_request& r);
  [[nodiscard]] secret32 exporter() { return crypto::tls_exporter(stream_.native_handle()).value(); }

 private:
  /// Runs until the operation completes, at most ten seconds.
  template <class Start>
  boost::system::error_code run(Start start);
  bool read_exactly(std::span<std::uint8_t> out);

  boost::asio::io_context io_;
  boost::asio::ssl::context tls_;
  boost::asio::ssl::stream<boost::asio::ip::tcp::socket> stream_;
  std::string error_;
  boost::system::error_code last_;
};

}  // namespace cpns::server_tests
