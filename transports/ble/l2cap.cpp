#include "transports/ble/l2cap.hpp"

#include <bluetooth/bluetooth.h>
#include <bluetooth/l2cap.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace cpns::ble {
namespace {

[[noreturn]] void refuse(const char* what) { throw std::system_error{errno, std::generic_category(), what}; }

sockaddr_l2 socket_address(const address& a, std::uint16_t psm) {
  sockaddr_l2 out{};
  out.l2_family = AF_BLUETOOTH;
  out.l2_psm = htobs(psm);
  std::copy(a.bytes.begin(), a.bytes.end(), out.l2_bdaddr.b);
  out.l2_bdaddr_type = a.random ? BDADDR_LE_RANDOM : BDADDR_LE_PUBLIC;
  return out;
}

/// A socket bound to the adapter; otherwise the kernel would choose one.
fd make(const address& adapter, std::uint16_t psm, const settings& s) {
  fd out{::socket(AF_BLUETOOTH, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, BTPROTO_L2CAP)};
  if (!out) refuse("L2CAP socket");
  const auto at = socket_address(adapter, psm);
  if (::bind(out.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) refuse("bind");
  const auto mtu = static_cast<std::uint16_t>(s.mtu);
  if (::setsockopt(out.get(), SOL_BLUETOOTH, BT_RCVMTU, &mtu, sizeof mtu) != 0) refuse("BT_RCVMTU");
  bt_security level{};
  level.level = static_cast<std::uint8_t>(s.level);
  if (::setsockopt(out.get(), SOL_BLUETOOTH, BT_SECURITY, &level, sizeof level) != 0) refuse("BT_SECURITY");
  return out;
}

class l2cap final : public channel {
 public:
  l2cap(fd socket, std::uint32_t mtu) : socket_(std::move(socket)), mtu_(mtu) {}

  [[nodiscard]] int in() const override { return socket_.get(); }
  [[nodiscard]] int out() const override { return socket_.get(); }
  [[nodiscard]] bool wants_out() const override { return full_; }
  cpns_status send(std::span<const std::uint8_t> frame) override {
    for (;;) {
      if (::send(socket_.get(), frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return CPNS_OK;
      if (errno == EINTR) continue;
      if (errno == EMSGSIZE) return CPNS_LIMIT;
      full_ = errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM;
      return full_ ? CPNS_WOULD_BLOCK : CPNS_NO_LINK;  // the next read() reports the reason
    }
  }
  bool flush(bool writable) override {
    if (writable) full_ = false;
    return writable;
  }
  [[nodiscard]] cpns_pairing pairing() const override {
    bt_security level{};
    socklen_t size = sizeof level;
    if (::getsockopt(socket_.get(), SOL_BLUETOOTH, BT_SECURITY, &level, &size) != 0)
      return CPNS_PAIRING_UNKNOWN;
    if (level.key_size == 0) return CPNS_PAIRING_NONE;
    return level.level >= BT_SECURITY_HIGH ? CPNS_PAIRING_AUTHENTICATED : CPNS_PAIRING_ENCRYPTED;
  }
  news read(std::span<std::uint8_t> buffer) override {
    for (;;) {
      const auto n = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (n > 0) {
        const auto size = static_cast<std::size_t>(n);
        if (size > mtu_)
          return {
              .is = news::kind::ended, .why = CPNS_DOWN_BAD_FRAME, .detail = "a frame larger than the MTU"};
        return {.is = news::kind::frame, .size = size};
      }
      if (n == 0)
        return {.is = news::kind::ended,
                .why = CPNS_DOWN_CLOSED,
                .detail = "the peer closed the link",
                .by_peer = true};
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return {};
      return {.is = news::kind::ended, .why = CPNS_DOWN_LOST, .detail = std::strerror(errno)};
    }
  }

 private:
  fd socket_;
  std::uint32_t mtu_;
  bool full_ = false;
};

}  // namespace

fd listen_at(const address& adapter, std::uint8_t psm, const settings& s) {
  auto out = make(adapter, psm, s);
  if (::listen(out.get(), 4) != 0) refuse("listen");
  return out;
}

fd begin_connect(const address& adapter, const address& peer, std::uint8_t psm, const settings& s) {
  auto out = make(adapter, 0, s);
  const auto to = socket_address(peer, psm);
  if (::connect(out.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS)
    refuse("connect");
  return out;
}

fd accept_one(int listener, address& peer) {
  sockaddr_l2 from{};
  socklen_t size = sizeof from;
  fd out{::accept4(listener, reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC)};
  if (!out) return out;
  std::copy_n(from.l2_bdaddr.b, peer.bytes.size(), peer.bytes.begin());
  peer.random = from.l2_bdaddr_type == BDADDR_LE_RANDOM;
  return out;
}

int connect_outcome(int socket) {
  int wrong = 0;
  socklen_t size = sizeof wrong;
  return ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &wrong, &size) == 0 ? wrong : errno;
}

std::optional<std::string> shortcoming(int socket, const settings& s) {
  std::uint16_t takes = 0;
  socklen_t size = sizeof takes;
  if (::getsockopt(socket, SOL_BLUETOOTH, BT_SNDMTU, &takes, &size) != 0) return std::strerror(errno);
  if (takes < s.mtu)
    return "the peer accepts frames of at most " + std::to_string(takes) +
           " bytes; set the parameter mtu to that or less";
  bt_security level{};
  size = sizeof level;
  if (::getsockopt(socket, SOL_BLUETOOTH, BT_SECURITY, &level, &size) != 0) return std::strerror(errno);
  if (level.level < static_cast<std::uint8_t>(s.level))
    return "the channel is less secure than the parameter security requires";
  return std::nullopt;
}

std::unique_ptr<channel> make_l2cap(fd socket, std::uint32_t mtu) {
  return std::make_unique<l2cap>(std::move(socket), mtu);
}

}  // namespace cpns::ble
