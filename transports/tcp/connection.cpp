#include "transports/tcp/connection.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <utility>

namespace cpns::tcp {
namespace {

constexpr std::size_t header = 4;
constexpr std::chrono::seconds between_probes{10};
constexpr std::chrono::milliseconds probe_sent_within{
    200};  // until the kernel has sent the keepalive of probe_peer()

// Errors are ignored: the socket is gone then, and its reader notices.
void set(int fd, int level, int option, int value) { ::setsockopt(fd, level, option, &value, sizeof value); }

/// Detects a peer that vanished (power cut, cable) by TCP keepalives, which its kernel answers: from now on the
/// connection fails if the peer's kernel answers nothing for `dead_ms`.
void watch_peer(stream& socket, std::uint64_t dead_ms) {
  const int fd = socket.native_handle();
  const auto seconds = static_cast<int>(dead_ms / 1000);
  // The first half is silence; in the second half about three keepalives may get lost.
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, std::max(1, seconds / 2));
  set(fd, IPPROTO_TCP, TCP_KEEPINTVL, std::max(1, seconds / 6));
  set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(dead_ms));
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

/// Sends a keepalive at once: a live peer acknowledges it, a rebooted one resets the connection, and an absent one
/// still has its whole dead_ms. Returns false and sends nothing if the peer was heard within the last second. Call
/// watch_peer() again after `probe_sent_within`.
bool probe_peer(stream& socket) {
  constexpr std::uint32_t recent_ms = 1000;  // the minimum of TCP_KEEPIDLE
  const int fd = socket.native_handle();
  tcp_info now{};
  socklen_t size = sizeof now;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &now, &size) != 0) return false;
  if (std::min(now.tcpi_last_data_recv, now.tcpi_last_ack_recv) <= recent_ms) return false;
  // The kernel counts idle time since the peer's last packet, so this keepalive is already due.
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 1);
  return true;
}

/// Whether the error means that watch_peer() found the peer dead.
bool is_dead_peer(const boost::system::error_code& e) {
  return e == asio::error::timed_out || e == asio::error::host_unreachable ||
         e == asio::error::network_unreachable;
}

std::uint32_t length_at(const std::uint8_t* p) {
  return std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | p[3];
}

void release(std::vector<std::uint8_t>& bytes) { std::vector<std::uint8_t>{}.swap(bytes); }

}  // namespace

connection::connection(stream socket, connection_base& base)
    : counted_(base.rules.max_links != 0), socket_(std::move(socket)), base_(base) {
  boost::system::error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay{true}, ignored);
  socket_.non_blocking(true, ignored);
  watch_peer(socket_, base_.rules.dead_ms);
}

std::string connection::peer() const {
  boost::system::error_code wrong;
  const auto at = socket_.remote_endpoint(wrong);
  return wrong ? "unknown" : text_of(at);
}

void connection::probe() {
  const auto now = std::chrono::steady_clock::now();
  if (closed_ || now < may_probe_ || !probe_peer(socket_)) return;
  may_probe_ = now + between_probes;
  ++base_.counted.probes;
  probing_ = std::make_unique<timer>(socket_.get_executor());
  probing_->expires_after(probe_sent_within);
  probing_->async_wait([self = shared_from_this()](const boost::system::error_code& cancelled) {
    if (cancelled || self->closed_) return;
    self->probing_.reset();
    watch_peer(self->socket_, self->base_.rules.dead_ms);
  });
}

void connection::expect_hello() {
  stranger_ = true;
  start_timeout(base_.rules.handshake_ms);
  reading_ = true;
  wait_for_bytes();
}

void connection::start(std::uint64_t link, std::uint64_t endpoint) {
  link_ = link;
  endpoint_ = endpoint;
  if (!std::exchange(reading_, true)) wait_for_bytes();
}

/// The buffer is lent to a connection only when its bytes are there.
void connection::wait_for_bytes() {
  if (closed_) return;
  socket_.async_wait(stream::wait_read, [self = shared_from_this()](const boost::system::error_code& wrong) {
    if (self->closed_) return;
    if (wrong) return self->failed(wrong);
    self->read();
  });
}

/// One read per turn, so that a link that sends without pause does not hold up the others.
void connection::read() {
  boost::system::error_code wrong;
  const auto n = socket_.read_some(asio::buffer(base_.buffer), wrong);
  if (wrong == asio::error::would_block) return wait_for_bytes();
  if (wrong) return failed(wrong);
  take({base_.buffer.data(), n});
  wait_for_bytes();
}

void connection::failed(const boost::system::error_code& wrong) {
  if (closed_) return;
  if (stranger_) ++base_.counted.strangers_silent;
  if (is_dead_peer(wrong)) {
    if (!stranger_) ++base_.counted.links_dead;
    return close(CPNS_DOWN_LOST, "the peer no longer answers: " + wrong.message());
  }
  close(CPNS_DOWN_LOST, wrong == asio::error::eof ? "the peer closed the connection" : wrong.message());
}

void connection::take(std::span<const std::uint8_t> bytes) {
  const bool continues = !partial_.empty();
  if (continues) {
    partial_.insert(partial_.end(), bytes.begin(), bytes.end());
    bytes = partial_;
  }
  const auto used = take_frames(bytes);
  if (closed_) return;
  if (used == bytes.size()) {
    release(partial_);
    timeout_.reset();
    return;
  }
  if (continues)
    partial_.erase(partial_.begin(), partial_.begin() + static_cast<std::ptrdiff_t>(used));
  else
    partial_.assign(bytes.begin() + static_cast<std::ptrdiff_t>(used), bytes.end());
  if (used > 0 || !timeout_) start_timeout(base_.rules.frame_ms);
}

std::size_t connection::take_frames(std::span<const std::uint8_t> bytes) {
  std::size_t at = 0;
  while (!closed_ && bytes.size() - at >= header) {
    const auto size = length_at(bytes.data() + at);
    const auto mtu = base_.rules.mtu;
    const bool fits = size != 0 && size <= mtu;
    if (!fits && stranger_) ++base_.counted.strangers_oversized;
    if (!fits) {
      close(CPNS_DOWN_BAD_FRAME,
            "a frame of " + std::to_string(size) + " bytes; 1 to " + std::to_string(mtu) + " are allowed");
      break;
    }
    if (bytes.size() - at - header < size) break;
    const auto body = bytes.subspan(at + header, size);
    at += header + size;
    if (std::exchange(stranger_, false)) {
      base_.listener.hello_in(*this, body);
    } else {
      heard_ = true;
      base_.listener.frame_in(*this, body);
    }
  }
  return at;
}

/// Bounds the time for a whole frame, so that a peer that sends one byte per second cannot hold the link.
void connection::start_timeout(std::uint64_t ms) {
  if (!timeout_) timeout_ = std::make_unique<timer>(socket_.get_executor());
  timeout_->expires_after(std::chrono::milliseconds(ms));
  timeout_->async_wait([self = shared_from_this()](const boost::system::error_code& wrong) {
    // The wait of a former frame may end just after another one began.
    if (wrong || !self->timeout_ || self->timeout_->expiry() > std::chrono::steady_clock::now()) return;
    if (self->stranger_) ++self->base_.counted.strangers_too_slow;
    self->close(CPNS_DOWN_TOO_SLOW, "a frame did not arrive whole in time");
  });
}

cpns_status connection::send(std::span<const std::uint8_t> data) {
  std::lock_guard lock{guard_};
  if (queued_.size() + data.size() + header > base_.rules.queue_bytes) {
    blocked_ = true;
    return CPNS_WOULD_BLOCK;
  }
  const auto size = static_cast<std::uint32_t>(data.size());
  queued_.reserve(queued_.size() + header + data.size());
  for (int shift = 24; shift >= 0; shift -= 8) queued_.push_back(static_cast<std::uint8_t>(size >> shift));
  queued_.insert(queued_.end(), data.begin(), data.end());
  if (!writing_) {
    writing_ = true;
    asio::post(socket_.get_executor(), [self = shared_from_this()] { self->write(); });
  }
  return CPNS_OK;
}

void connection::write() {
  bool unblocked = false;
  {
    std::lock_guard lock{guard_};
    out_.clear();
    if (closed_ || queued_.empty()) {
      writing_ = false;
      release(out_);
      release(queued_);
    } else {
      out_.swap(queued_);
      unblocked = std::exchange(blocked_, false);
    }
  }
  if (out_.empty()) return;
  if (unblocked) base_.listener.writable(*this);
  asio::async_write(socket_, asio::buffer(out_),
                    [self = shared_from_this()](const boost::system::error_code& wrong, std::size_t) {
                      if (wrong) return self->failed(wrong);
                      self->write();
                    });
}

void connection::close(cpns_down_reason why, const std::string& detail) {
  if (std::exchange(closed_, true)) return;
  boost::system::error_code ignored;
  timeout_.reset();
  probing_.reset();
  socket_.shutdown(stream::shutdown_both, ignored);
  socket_.close(ignored);
  base_.listener.closed(*this, why, detail);
}

}  // namespace cpns::tcp
