#pragma once
// One TLS connection of a gateway: handshake, frames in, answers out, all deadlines. All work runs on its
// strand.

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <functional>
#include <mutex>

#include "base/log.hpp"
#include "crypto/key_schedule.hpp"
#include "crypto/tls_channel.hpp"
#include "server/frame_buffer.hpp"
#include "server/link.hpp"
#include "server/refusal_log.hpp"

namespace cpns::server {

class connection final : public link_port, public std::enable_shared_from_this<connection> {
 public:
  using socket = boost::asio::ip::tcp::socket;
  using clock = std::chrono::steady_clock;

  /// `io`: the io_context of `s`, kept alive. `done` is called once, on the strand, when the connection is over.
  connection(std::shared_ptr<boost::asio::io_context> io, socket s, crypto::tls_context tls,
             std::shared_ptr<const link_limits> limits, std::shared_ptr<refusal_log> lines,
             session_factory make_session, std::function<void(const connection*)> done);

  /// Begins the handshake.
  void start();
  /// Stops reading; closes once every frame is answered. [thread-safe]
  void drain();
  /// The gateway is asked to leave: closes as drain() does if it cannot be asked, because it agreed on an older protocol or
  /// is in its handshake. [thread-safe]
  void leave();
  /// Ends the connection if link_limits::revoked refuses it now. [thread-safe]
  void end_if_revoked();

  void send(secret_bytes answer) override;
  void notify(bytes message) override;
  void needs_no_answer() override;
  void close(std::string why) override;
  /// Closes at once, without a log line. [thread-safe]
  void abandon();
  /// Whether a byte was received. On the strand.
  [[nodiscard]] bool heard() const { return tls_.heard(); }

 private:
  /// Calls `then` when the socket is ready, unless the connection is over.
  void await(socket::wait_type what, void (connection::*then)());
  /// The same for a call of TLS that has to be made again. False: it is not one.
  bool await(const crypto::tls_channel::outcome& o, void (connection::*then)());
  void shake_hands();
  void refuse_handshake(const crypto::tls_channel::outcome& why);
  void on_handshake();
  [[nodiscard]] result<peer_info> identify();
  /// With outbox_guard_ held.
  void flush_later();
  /// Whether a certificate with this URI may be the one of a gateway.
  [[nodiscard]] status check_uri(ssl_st* ssl) const;
  void read();
  void receive();
  /// Has what this connection holds counted.
  void account();
  /// Reads what the socket has, which the credit allows.
  void receive_now();
  /// The credit has room again. False: the connection is over. [thread-safe]
  bool take_turn();
  /// Takes complete frames out of the buffer, up to the limit in flight. False: a header announces a size out
  /// of bounds.
  bool take_frames(std::vector<bytes>& out);
  [[nodiscard]] bool has_enough() const;
  void flush();
  /// Sends what the socket takes of writing_now_. True: all of it.
  bool write();
  void write_on();
  /// TLS ended after the handshake.
  void finish(const crypto::tls_channel::outcome& end);
  /// Ends the connection without a TLS close, so that the peer sees a fault.
  void finish(std::string_view event, std::string_view why);
  /// Ends the connection with a TLS close_notify.
  void finish_properly(std::string_view event, std::string_view why);
  void shut_down();
  /// A log line, limited per gateway; peers without a handshake share one limit.
  void log_line(log::level l, std::string_view event, std::string_view text,
                std::initializer_list<log::field> fields) const;
  /// False if it was over already.
  bool end(std::string_view event, std::string_view why);
  void close_socket();
  void end_if_drained();
  void arm();
  void on_timer();
  [[nodiscard]] clock::time_point deadline() const;

  const std::shared_ptr<boost::asio::io_context> io_;
  boost::asio::strand<boost::asio::any_io_executor> strand_;
  socket socket_;
  crypto::tls_channel tls_;
  boost::asio::steady_timer timer_;
  const std::shared_ptr<const link_limits> limits_;
  const std::shared_ptr<refusal_log> lines_;
  session_factory make_session_;
  std::function<void(const connection*)> done_;
  std::shared_ptr<link_session> session_;
  std::string address_, uri_;
  crypto::gateway_kind kind_ = crypto::gateway_kind::x509;

  frame_buffer input_;
  unanswered_frames unanswered_;
  credit_share credit_;
  bool paused_ = false;  ///< it waits for credit; `reading_` is set, too
  bool reading_ = false, writing_ = false, draining_ = false;
  std::atomic<bool> over_ = false;  ///< written on the strand, with outbox_guard_
  bool handshaken_ = false;
  bool can_be_asked_ = false;  ///< it agreed on cpns/1.1
  bool old_ = false;           ///< it reached its lifetime; frames in flight are still answered
  clock::time_point born_, last_traffic_;
  clock::time_point frame_began_ = clock::time_point::max();
  clock::time_point write_began_ = clock::time_point::max();
  secret_bytes writing_now_;
  std::size_t written_ = 0;  ///< of writing_now_

  std::mutex outbox_guard_;
  std::vector<secret_bytes> outbox_;
  std::size_t outbox_bytes_ = 0;
  std::size_t answered_ = 0;  ///< frames that the outbox, or needs_no_answer, answers
  bool flush_posted_ = false;
};

}  // namespace cpns::server
