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
constexpr std::size_t read_size = 16 * 1024;
constexpr std::chrono::seconds between_probes{10};
constexpr std::chrono::milliseconds probe_sent_within{
    200};  // until the kernel has sent the keepalive of probe_peer()

// Errors are ignored: the socket is gone then, and its reader notices.
void set(int fd, int level, int option, int value) { ::setsockopt(fd, level, option, &value, sizeof value); }

/// Detects a peer that vanished (power cut, cable) by TCP keepalives, which its kernel answers: from now on the
/// connection fails if the peer's kernel answers nothing for `dead_ms`.
void watch_peer(asio::ip::tcp::socket& socket, std::uint64_t dead_ms) {
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
bool probe_peer(asio::ip::tcp::socket& socket) {
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

}  // namespace

connection::connection(asio::ip::tcp::socket socket, const settings& s, counters& n)
    : socket_(std::move(socket)), timeout_(socket_.get_executor()), probing_(socket_.get_executor()),
      settings_(s), counters_(n) {
  boost::system::error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay{true}, ignored);
  watch_peer(socket_, settings_.dead_ms);
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
  ++counters_.probes;
  probing_.expires_after(probe_sent_within);
  probing_.async_wait([self = shared_from_this()](const boost::system::error_code& cancelled) {
    if (!cancelled && !self->closed_) watch_peer(self->socket_, self->settings_.dead_ms);
  });
}

void connection::expect_hello(std::function<void(std::span<const std::uint8_t>)> hello,
                              std::function<void()> gone) {
  hello_ = std::move(hello);
  events_.closed = [gone = std::move(gone)](cpns_down_reason, const std::string&) { gone(); };
  start_timeout(settings_.handshake_ms);
  reading_ = true;
  read();
}

void connection::start(events e) {
  events_ = std::move(e);
  if (!std::exchange(reading_, true)) read();
}

void connection::read() {
  if (closed_) return;
  if (in_.size() < have_ + 512)
    in_.resize(std::max<std::size_t>(std::min(read_size, header + settings_.mtu), have_ + 512));
  socket_.async_read_some(asio::buffer(in_.data() + have_, in_.size() - have_),
                          [self = shared_from_this()](const boost::system::error_code& wrong, std::size_t n) {
                            if (self->closed_) return;
                            if (wrong) return self->failed(wrong);
                            self->have_ += n;
                            self->take_frames();
                            self->read();
                          });
}

void connection::failed(const boost::system::error_code& wrong) {
  if (closed_) return;
  if (hello_) ++counters_.strangers_silent;
  if (is_dead_peer(wrong)) {
    if (!hello_) ++counters_.links_dead;
    return close(CPNS_DOWN_LOST, "the peer no longer answers: " + wrong.message());
  }
  close(CPNS_DOWN_LOST, wrong == asio::error::eof ? "the peer closed the connection" : wrong.message());
}

void connection::take_frames() {
  std::size_t at = 0;
  while (!closed_ && have_ - at >= header) {
    const auto size = length_at(in_.data() + at);
    const bool fits = size != 0 && size <= settings_.mtu;
    if (!fits && hello_) ++counters_.strangers_oversized;
    if (!fits)
      return close(CPNS_DOWN_BAD_FRAME, "a frame of " + std::to_string(size) + " bytes; 1 to " +
                                            std::to_string(settings_.mtu) + " are allowed");
    if (have_ - at - header < size) break;
    const std::span<const std::uint8_t> body{in_.data() + at + header, size};
    at += header + size;
    if (hello_)
      std::exchange(hello_, nullptr)(body);
    else
      events_.frame_in(body);
  }
  if (closed_) return;
  std::copy(in_.begin() + static_cast<std::ptrdiff_t>(at), in_.begin() + static_cast<std::ptrdiff_t>(have_),
            in_.begin());
  have_ -= at;
  if (have_ > 0 && !waiting_) return start_timeout(settings_.frame_ms);
  if (have_ == 0 && waiting_) {
    waiting_ = false;
    timeout_.cancel();
  } else if (at > 0 && have_ > 0) {
    start_timeout(settings_.frame_ms);
  }
}

/// Bounds the time for a whole frame, so that a peer that sends one byte per second cannot hold the link.
void connection::start_timeout(std::uint64_t ms) {
  waiting_ = true;
  timeout_.expires_after(std::chrono::milliseconds(ms));
  timeout_.async_wait([self = shared_from_this()](const boost::system::error_code& wrong) {
    if (wrong || !self->waiting_ || self->timeout_.expiry() > std::chrono::steady_clock::now()) return;
    if (self->hello_) ++self->counters_.strangers_too_slow;
    self->close(CPNS_DOWN_TOO_SLOW, "a frame did not arrive whole in time");
  });
}

cpns_status connection::send(std::span<const std::uint8_t> data) {
  std::lock_guard lock{guard_};
  if (queued_.size() + data.size() + header > settings_.queue_bytes) {
    blocked_ = true;
    return CPNS_WOULD_BLOCK;
  }
  const auto size = static_cast<std::uint32_t>(data.size());
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
    } else {
      out_.swap(queued_);
      unblocked = std::exchange(blocked_, false);
    }
  }
  if (out_.empty()) return;
  if (unblocked && events_.writable) events_.writable();
  asio::async_write(socket_, asio::buffer(out_),
                    [self = shared_from_this()](const boost::system::error_code& wrong, std::size_t) {
                      if (wrong) return self->failed(wrong);
                      self->write();
                    });
}

void connection::close(cpns_down_reason why, const std::string& detail) {
  if (std::exchange(closed_, true)) return;
  boost::system::error_code ignored;
  timeout_.cancel();
  probing_.cancel();
  socket_.shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
  socket_.close(ignored);
  const auto last = std::exchange(events_, {});
  if (last.closed) last.closed(why, detail);
}

hub::hub(sdk::host out, settings s)
    : out_(out), settings_(std::move(s)), links_max_(links_that_fit(settings_.max_links)) {}

void hub::run() {
  work_ = std::make_unique<asio::io_context::work>(io_);
  thread_ = std::thread{[this] {
    try {
      io_.run();
    } catch (const std::exception& e) {
      out_.failed(e.what());
    }
  }};
}

void hub::stop() {
  asio::post(io_, [this] {
    stopping_ = true;
    shut();
    std::vector<std::shared_ptr<connection>> all;
    {
      std::lock_guard lock{guard_};
      for (auto& [id, c] : links_) all.push_back(c);
    }
    for (auto& c : all) c->close(CPNS_DOWN_CLOSED, "this side is closing");
    work_.reset();
  });
  if (thread_.joinable()) thread_.join();
}

void hub::turned_away(counters::counter& which, const std::string& address, const std::string& why) {
  ++which;
  if (const auto others = turned_away_logged_.due())
    out_.log(CPNS_LOG_INFO, "closed the connection of " + address + ": " + why + " (" +
                                std::to_string(*others) + " others since the last such line)");
}

std::size_t hub::link_count() {
  std::lock_guard lock{guard_};
  return links_.size();
}

std::shared_ptr<connection> hub::find(std::uint64_t link) {
  std::lock_guard lock{guard_};
  const auto it = links_.find(link);
  return it == links_.end() ? nullptr : it->second;
}

void hub::adopt(const std::shared_ptr<connection>& c, std::uint64_t endpoint, const std::string& address,
                std::function<void()> gone) {
  std::uint64_t link = 0;
  {
    std::lock_guard lock{guard_};
    link = ++next_link_;
    links_.emplace(link, c);
  }
  out_.link_up(link, endpoint, address);
  c->start({.frame_in =
                [this, link](std::span<const std::uint8_t> f) {
                  ++counters_.frames_received;
                  out_.frame(link, f);
                },
            .closed =
                [this, link, gone = std::move(gone)](cpns_down_reason why, const std::string& detail) {
                  {
                    std::lock_guard lock{guard_};
                    links_.erase(link);
                  }
                  out_.link_down(link, why, detail);
                  if (gone) gone();
                },
            .writable = [this, link] { out_.writable(link); }});
}

cpns_status hub::send(std::uint64_t link, std::span<const std::uint8_t> data) {
  if (data.empty() || data.size() > settings_.mtu) return CPNS_LIMIT;
  const auto c = find(link);
  if (!c) return CPNS_NO_LINK;
  const auto sent = c->send(data);
  if (sent == CPNS_OK) ++counters_.frames_sent;
  return sent;
}

void hub::disconnect(std::uint64_t link) {
  asio::post(io_, [this, link] {
    if (const auto c = find(link)) c->close(CPNS_DOWN_CLOSED, "this side closed it");
  });
}

}  // namespace cpns::tcp
