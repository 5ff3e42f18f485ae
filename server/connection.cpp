#include "server/connection.hpp"

#include <algorithm>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/error.hpp>
#include <utility>

#include "base/log.hpp"
#include "base/sockets.hpp"
#include "base/text.hpp"
#include "crypto/key_schedule.hpp"
#include "crypto/tls.hpp"
#include "crypto/tls_psk.hpp"
#include "protocol/constants.hpp"

namespace cpns::server {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

/// Time limit for the TLS close_notify.
constexpr milliseconds farewell_max{500};

// Memory for a frame that is not answered: it is kept until its turn, and decoded then, which takes some times its bytes; and its
// places in queues.
constexpr std::size_t frame_times = 3, frame_extra = 256;

using state = crypto::tls_channel::state;

void count_fault(const handshake_metrics& in, crypto::handshake_fault fault) {
  switch (fault) {
  case crypto::handshake_fault::protocol: return in.protocol.add();
  case crypto::handshake_fault::certificate: return in.certificate.add();
  case crypto::handshake_fault::revoked: return in.revoked.add();
  case crypto::handshake_fault::psk: return in.psk.add();
  case crypto::handshake_fault::closed: return in.closed.add();
  }
}

std::string address_of(const connection::socket& s) {
  error_code ec;
  const auto at = s.remote_endpoint(ec);
  if (ec) return "unknown";
  return at.address().to_string() + ":" + std::to_string(at.port());
}

/// Of an error that is neither of the protocol nor of the peer.
std::string text_of(const crypto::tls_channel::outcome& fault) {
  const auto& category =
      fault.what == state::tls_fault ? asio::error::get_ssl_category() : boost::system::system_category();
  return error_code{static_cast<int>(fault.code), category}.message();
}

}  // namespace

connection::connection(std::shared_ptr<asio::io_context> io, socket s, crypto::tls_context tls,
                       std::shared_ptr<const link_limits> limits, std::shared_ptr<refusal_log> lines,
                       session_factory make_session, std::function<void(const connection*)> done)
    : io_(std::move(io)), strand_(asio::make_strand(s.get_executor())), socket_(std::move(s)),
      tls_(std::move(tls), socket_.native_handle()), timer_(strand_), limits_(std::move(limits)),
      lines_(std::move(lines)), make_session_(std::move(make_session)), done_(std::move(done)),
      address_(address_of(socket_)), credit_(limits_->credit), born_(clock::now()), last_traffic_(born_) {}

void connection::start() {
  asio::post(strand_, [self = shared_from_this()] {
    if (self->over_) return;  // the listener stopped before this ran
    error_code ignored;
    self->socket_.set_option(asio::ip::tcp::no_delay{true}, ignored);
    probe_when_quiet(self->socket_.native_handle(), self->limits_->probe);
    self->arm();
    self->await(socket::wait_read, &connection::shake_hands);
  });
}

void connection::await(socket::wait_type what, void (connection::*then)()) {
  socket_.async_wait(what,
                     asio::bind_executor(strand_, [self = shared_from_this(), then](const error_code& ec) {
                       if (ec != asio::error::operation_aborted) ((*self).*then)();
                     }));
}

bool connection::await(const crypto::tls_channel::outcome& o, void (connection::*then)()) {
  if (o.what != state::readable && o.what != state::writable) return false;
  await(o.what == state::readable ? socket::wait_read : socket::wait_write, then);
  return true;
}

void connection::shake_hands() {
  if (over_) return;
  // The credit is for gateways. Strangers would use it up with parts of a handshake, of which memory_cost::connection has the room.
  const auto o = tls_.handshake();
  if (await(o, &connection::shake_hands)) return;
  // A health check that only opens the port is not a gateway and not a fault. The listener counts such connections.
  if (!heard()) return finish({}, {});
  if (o.what != state::done) return refuse_handshake(o);
  on_handshake();
}

void connection::refuse_handshake(const crypto::tls_channel::outcome& why) {
  const bool tls = why.what == state::tls_fault;
  count_fault(limits_->handshakes,
              tls ? crypto::fault_of(tls_.native(), why.code) : crypto::handshake_fault::closed);
  finish("gateway-refused", tls ? crypto::tls_refusal(tls_.native(), why.code)
                            : why.what == state::io_fault
                                ? text_of(why)
                                : std::string{"the peer closed the connection during the handshake"});
}

void connection::on_handshake() {
  auto peer = identify();
  if (!peer) {
    limits_->handshakes.identity.add();
    return finish("gateway-refused", peer.error().message());
  }
  limits_->handshakes.accepted.add();
  handshaken_ = true;
  last_traffic_ = clock::now();
  can_be_asked_ = peer->protocol == crypto::tls_alpn_nodes;
  log_line(log::level::info, "gateway-connected", "mutual authentication and key exchange done (step 0)",
           {{"gateway", uri_},
            {"gw", peer->gw.hex()},
            {"peer", address_},
            {"kind", kind_ == crypto::gateway_kind::psk ? "psk" : "x509"},
            {"serial", crypto::peer_serial(tls_.native())}});
  tls_.drop_sent_chain();
  session_ = make_session_(*std::move(peer), shared_from_this());
  if (!session_) return finish("gateway-refused", "the server is stopping");
  arm();
  read();
}

result<peer_info> connection::identify() {
  auto* ssl = tls_.native();
  CPNS_CHECK(crypto::check_alpn(ssl));
  peer_info p;
  if (auto psk = crypto::psk_of(ssl)) {
    p.uri = std::move(psk->identity);
    kind_ = crypto::gateway_kind::psk;
  } else {
    CPNS_TRY(p.uri, crypto::peer_uri(ssl));
  }
  uri_ = p.uri;
  // The CRLs, or the keys, may have changed while the handshake ran with the former ones.
  if (limits_->revoked)
    if (auto why = limits_->revoked(ssl)) return fail(errc::peer_identity, std::move(*why));
  if (kind_ == crypto::gateway_kind::x509) CPNS_CHECK(check_uri(ssl));
  CPNS_TRY(p.exporter, crypto::tls_exporter(ssl));
  p.gw = crypto::derive_gateway_id(crypto::openssl_suite(), kind_, p.uri);
  p.address = address_;
  p.protocol = crypto::agreed_alpn(ssl);
  return p;
}

status connection::check_uri(ssl_st* ssl) const {
  if (uri_.starts_with(psk_identity_prefix))
    return fail(errc::peer_identity, "the SAN URI " + uri_ + " is a name of gateways without a certificate");
  if (crypto::has_own_uri(ssl))
    return fail(errc::peer_identity, "the peer's certificate has the URI of this server");
  const auto& let_in = *limits_->gateway_uris;
  if (std::none_of(let_in.begin(), let_in.end(), [this](const auto& pattern) { return fits(pattern, uri_); }))
    return fail(errc::peer_policy, "the SAN URI " + uri_ +
                                       " is not one of a gateway; if it is one, add it to gateway_uris in "
                                       "the server's configuration");
  return {};
}

void connection::read() {
  if (over_ || reading_ || draining_) return;
  std::vector<bytes> whole;
  if (!take_frames(whole)) return finish("bad-frame", "a frame header announces more than 65536 bytes, or 0");
  account();
  if (!whole.empty()) session_->frames(std::move(whole));
  // Over the limit of requests in flight, data stays in the socket.
  if (has_enough()) return;
  reading_ = true;
  if (tls_.has_input()) return receive();
  await(socket::wait_read, &connection::receive);
}

void connection::receive() {
  if (over_) return;
  paused_ = !credit_.may_read([weak = weak_from_this()] {
    const auto self = weak.lock();
    return self && self->take_turn();
  });
  if (!paused_) receive_now();
}

void connection::receive_now() {
  reading_ = paused_ = false;
  if (over_) return;
  const auto o = tls_.receive(input_.end());
  if (o.what != state::readable) return finish(o);
  if (o.size > 0) last_traffic_ = clock::now();
  read();
}

// Posts as send() does.
bool connection::take_turn() {
  std::lock_guard lock{outbox_guard_};
  if (over_) return false;
  asio::post(strand_, [self = shared_from_this()] {
    self->receive_now();
    self->credit_.pass_on();
  });
  return true;
}

void connection::account() {
  std::size_t unsent = 0;
  {
    std::lock_guard lock{outbox_guard_};
    unsent = outbox_bytes_;
  }
  credit_.hold(tls_.memory() + input_.memory() + frame_times * unanswered_.total_bytes() +
               unanswered_.count() * frame_extra + writing_now_.size() + unsent);
}

void connection::finish(const crypto::tls_channel::outcome& end) {
  switch (end.what) {
  case state::closed: return finish_properly("gateway-disconnected", "the gateway closed the connection");
  case state::truncated:
    return finish("gateway-disconnected", "the gateway dropped the connection without a TLS close");
  default: return finish("gateway-disconnected", text_of(end));
  }
}

bool connection::has_enough() const {
  return unanswered_.count() >= limits_->requests_in_flight ||
         unanswered_.total_bytes() >= limits_->bytes_in_flight;
}

bool connection::take_frames(std::vector<bytes>& out) {
  const auto rest = input_.take([this] { return !has_enough(); },
                                [this, &out](bytes frame) {
                                  unanswered_.add(frame.size());
                                  out.push_back(std::move(frame));
                                });
  if (rest == frame_buffer::rest::bad) return false;
  if (rest == frame_buffer::rest::none) {
    frame_began_ = clock::time_point::max();
  } else if (!out.empty() || frame_began_ == clock::time_point::max()) {
    frame_began_ = clock::now();
    arm();
  }
  return true;
}

// send() and close() post under the guard under which end() ends the connection. A handler posted later could come
// after the listener's threads, and would keep the connection and the io_context alive for ever.
void connection::send(secret_bytes answer) {
  std::lock_guard lock{outbox_guard_};
  if (over_) return;
  outbox_bytes_ += frame_header_size + answer.size();
  outbox_.push_back(std::move(answer));
  ++answered_;
  flush_later();
}

void connection::notify(bytes message) {
  std::lock_guard lock{outbox_guard_};
  if (over_) return;
  outbox_bytes_ += frame_header_size + message.size();
  outbox_.emplace_back(std::move(message));
  flush_later();
}

void connection::needs_no_answer() {
  std::lock_guard lock{outbox_guard_};
  if (over_) return;
  ++answered_;
  flush_later();
}

void connection::flush_later() {
  if (!std::exchange(flush_posted_, true))
    asio::post(strand_, [self = shared_from_this()] { self->flush(); });
}

void connection::flush() {
  if (over_ || writing_) {
    // The pending write flushes again when it completes; meanwhile only the limit is checked.
    {
      std::lock_guard lock{outbox_guard_};
      flush_posted_ = false;
      if (!over_ && outbox_bytes_ > limits_->unsent_bytes)
        asio::post(strand_, [self = shared_from_this()] {
          self->finish("slow-gateway", "the gateway does not read its answers");
        });
    }
    if (!over_) account();
    return;
  }
  std::vector<secret_bytes> answers;
  std::size_t size = 0, answered = 0;
  {
    std::lock_guard lock{outbox_guard_};
    answers.swap(outbox_);
    size = std::exchange(outbox_bytes_, 0);
    answered = std::exchange(answered_, 0);
    flush_posted_ = false;
  }
  for (; answered > 0; --answered) unanswered_.answered();
  if (answers.empty()) {
    account();
    read();  // frames that needed no answer may have stopped it
    return end_if_drained();
  }
  bytes out;
  out.reserve(size);
  for (const auto& a : answers) {
    const auto n = static_cast<std::uint32_t>(a.size());
    for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<std::uint8_t>(n >> shift));
    const auto body = a.expose();
    out.insert(out.end(), body.begin(), body.end());
  }
  writing_now_ = secret_bytes{std::move(out)};
  written_ = 0;
  write_began_ = clock::now();
  const bool all = write();
  if (!over_) account();
  read();
  if (all) end_if_drained();
}

bool connection::write() {
  const auto o = tls_.send(writing_now_.expose().subspan(written_));
  written_ += o.size;
  writing_ = o.what == state::writable;
  if (writing_) {
    arm();
    await(o, &connection::write_on);
    return false;
  }
  write_began_ = clock::time_point::max();
  writing_now_ = {};  // not clear(), which keeps the memory
  if (over_) return false;
  if (o.what != state::done) return finish(o), false;
  last_traffic_ = clock::now();
  return true;
}

void connection::write_on() {
  if (over_) {
    writing_ = false;
    writing_now_ = {};
    return;
  }
  if (write()) flush();
}

void connection::close(std::string why) {
  std::lock_guard lock{outbox_guard_};
  if (over_) return;
  asio::post(strand_,
             [self = shared_from_this(), why = std::move(why)] { self->finish("gateway-closed", why); });
}

void connection::abandon() {
  asio::post(strand_, [self = shared_from_this()] {
    if (self->over_) return self->close_socket();
    self->finish({}, {});
  });
}

void connection::drain() {
  asio::post(strand_, [self = shared_from_this()] {
    self->draining_ = true;
    self->end_if_drained();
  });
}

void connection::leave() {
  asio::post(strand_, [self = shared_from_this()] {
    if (self->can_be_asked_) return;
    self->draining_ = true;
    self->end_if_drained();
  });
}

void connection::end_if_revoked() {
  asio::post(strand_, [self = shared_from_this()] {
    // A connection in its handshake is judged at the end of that.
    if (self->over_ || !self->handshaken_ || !self->limits_->revoked) return;
    if (const auto why = self->limits_->revoked(self->tls_.native()))
      self->finish("gateway-revoked", *why + "; its connection was closed");
  });
}

void connection::end_if_drained() {
  if (!draining_ || over_ || writing_) return;
  if (!handshaken_) return finish({}, {});
  if (!unanswered_.empty()) return;
  if (old_) return finish_properly("gateway-closed", "the connection reached its lifetime");
  finish_properly("gateway-drained", "the server is stopping");
}

void connection::log_line(log::level l, std::string_view event, std::string_view text,
                          std::initializer_list<log::field> fields) const {
  if (lines_->may_log(now_anchored(), handshaken_ ? uri_ : std::string{}))
    log::write(l, "server", event, text, fields);
}

bool connection::end(std::string_view event, std::string_view why) {
  {
    std::lock_guard lock{outbox_guard_};
    if (over_.exchange(true)) return false;
  }
  if (!event.empty()) {
    const bool fault = event == "gateway-refused" || event == "gateway-revoked" || event == "bad-frame" ||
                       event == "slow-gateway";
    log_line(fault ? log::level::warn : log::level::info, event, why,
             {{"peer", address_}, {"gateway", uri_}});
  }
  timer_.cancel();
  if (session_) session_->closed();
  session_.reset();
  make_session_ = {};
  return true;
}

void connection::finish(std::string_view event, std::string_view why) {
  if (end(event, why)) close_socket();
}

void connection::finish_properly(std::string_view event, std::string_view why) {
  if (!end(event, why)) return;
  if (writing_) return close_socket();
  timer_.expires_after(farewell_max);
  timer_.async_wait(asio::bind_executor(strand_, [self = shared_from_this()](const error_code& ec) {
    if (ec != asio::error::operation_aborted) self->close_socket();
  }));
  shut_down();
}

void connection::shut_down() {
  if (!socket_.is_open()) return;
  if (!await(tls_.shut_down(), &connection::shut_down)) close_socket();
}

void connection::close_socket() {
  timer_.cancel();
  error_code ignored;
  socket_.shutdown(socket::shutdown_both, ignored);
  socket_.close(ignored);
  writing_now_ = {};  // keys that nobody takes any more; the session may hold this object for some time
  {
    std::lock_guard lock{outbox_guard_};
    outbox_.clear();
  }
  credit_.hold(0);
  if (auto done = std::exchange(done_, {})) done(this);
}

connection::clock::time_point connection::deadline() const {
  if (!handshaken_) return born_ + limits_->handshake_timeout;
  if (old_) return born_ + limits_->lifetime + limits_->frame_timeout;
  auto at = std::min(born_ + limits_->lifetime, last_traffic_ + limits_->idle_timeout);
  if (frame_began_ != clock::time_point::max()) at = std::min(at, frame_began_ + limits_->frame_timeout);
  if (write_began_ != clock::time_point::max()) at = std::min(at, write_began_ + limits_->frame_timeout);
  return at;
}

void connection::arm() {
  const auto at = deadline();
  // If the deadline is now later than the armed timer, that timer fires first and arms the next one.
  if (timer_.expiry() > clock::now() && timer_.expiry() <= at) return;
  timer_.expires_at(at);
  timer_.async_wait(asio::bind_executor(strand_, [self = shared_from_this()](const error_code& ec) {
    if (ec != asio::error::operation_aborted) self->on_timer();
  }));
}

void connection::on_timer() {
  if (over_) return;
  const auto now = clock::now();
  if (now < deadline()) return arm();
  if (!heard()) return finish({}, {});
  if (!handshaken_) {
    limits_->handshakes.timeout.add();
    return finish("gateway-refused", "the handshake took too long");
  }
  if (old_) return finish("gateway-closed", "the connection reached its lifetime with requests pending");
  if (frame_began_ != clock::time_point::max() && now >= frame_began_ + limits_->frame_timeout)
    return finish("slow-gateway", paused_ ? "the server had no room for the rest of a frame in time"
                                          : "a frame took too long to arrive");
  if (write_began_ != clock::time_point::max() && now >= write_began_ + limits_->frame_timeout)
    return finish("slow-gateway", "the gateway does not read its answers");
  if (now < born_ + limits_->lifetime) return finish_properly("gateway-closed", "the connection was idle");
  old_ = draining_ = true;
  arm();
  end_if_drained();
}

}  // namespace cpns::server
