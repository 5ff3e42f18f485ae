#pragma once
// The socket between a gateway and one process of PNEs.

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>
#include <vector>

#include "bench/bundle/wire.hpp"
#include "plugins/sdk/loop.hpp"

namespace cpns::bundle {

/// Packets of all links go through one buffer per direction. Its owner locks all calls but those that read, which belong
/// to one thread; nothing here calls the host.
class line {
 public:
  explicit line(int fd) : fd_(fd) {}
  ~line() { ::close(fd_); }
  line(const line&) = delete;
  line& operator=(const line&) = delete;

  [[nodiscard]] int fd() const { return fd_; }
  void watched_by(sdk::loop::watch w) { watch_ = w; }
  [[nodiscard]] const sdk::loop::watch& watch() const { return watch_; }

  /// Whether further frames have to wait.
  [[nodiscard]] bool is_full() const { return out_.size() - sent_ > out_max; }
  /// `link` is told by take_waiting() when the line has room again.
  void wait_for_room(std::uint64_t link) {
    waiting_.push_back(link);
    send_all();
  }
  /// Never blocks. Packets other than frames may go over the bound: there are few per link.
  void put(kind what, std::uint64_t number, byte_view content = {}) {
    append(out_, what, number, content);
    if (!stuck_) send_all();
  }
  /// After the socket became writable: the links that wait for room, if there is some.
  std::vector<std::uint64_t> take_waiting() {
    send_all();
    if (out_.size() - sent_ > out_max / 2) return {};
    return std::exchange(waiting_, {});
  }

  /// Reads what has arrived, at most once the size of the buffer. False: the peer is gone.
  bool read() {
    if (in_.size() < used_ + head_size + content_max) in_.resize(used_ + 2 * (head_size + content_max));
    const auto n = ::recv(fd_, in_.data() + used_, in_.size() - used_, MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    used_ += static_cast<std::size_t>(n);
    return n > 0;
  }
  /// The packets that have arrived as a whole; they are valid until drop().
  std::vector<packet> packets() {
    std::vector<packet> out;
    taken_ = 0;
    while (const auto p = first_packet(byte_view{in_.data() + taken_, used_ - taken_})) {
      out.push_back(*p);
      taken_ += head_size + p->content.size();
    }
    return out;
  }
  void drop() {
    std::copy(in_.begin() + static_cast<std::ptrdiff_t>(taken_),
              in_.begin() + static_cast<std::ptrdiff_t>(used_), in_.begin());
    used_ -= std::exchange(taken_, 0);
  }

 private:
  static constexpr std::size_t out_max = 2U << 20;  ///< bytes of packets that the peer has not taken

  void send_all() {
    while (sent_ < out_.size()) {
      const auto n = ::send(fd_, out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno != EAGAIN) break;  // the reader learns that the peer is gone
      if (n < 0) return keep_rest();
      sent_ += static_cast<std::size_t>(n);
    }
    out_.clear();
    if (out_.capacity() > (64U << 10)) out_.shrink_to_fit();
    sent_ = 0;
    wait(!waiting_.empty());
  }
  void keep_rest() {
    if (sent_ > out_max / 2) {
      out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(sent_));
      sent_ = 0;
    }
    wait(true);
  }
  void wait(bool for_room) {
    if (std::exchange(stuck_, for_room) != for_room)
      watch_.wait_for(CPNS_FD_READABLE | (for_room ? std::uint32_t{CPNS_FD_WRITABLE} : 0u));
  }

  const int fd_;
  sdk::loop::watch watch_;
  bytes out_, in_;
  std::size_t sent_ = 0, used_ = 0, taken_ = 0;
  bool stuck_ = false;  ///< the watch says when more can be sent
  std::vector<std::uint64_t> waiting_;
};

}  // namespace cpns::bundle
