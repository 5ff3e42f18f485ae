#include "transports/ble/channel.hpp"

#include <bluetooth/bluetooth.h>
#include <bluetooth/l2cap.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
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

/// Bound to the adapter, so that the kernel does not choose one.
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

}  // namespace

std::optional<address> address::parse(const std::string& text, const std::string& kind) {
  address out;
  out.random = kind == "random";
  std::array<unsigned, 6> pairs{};
  int end = 0;
  if (std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%n", &pairs[5], &pairs[4], &pairs[3], &pairs[2],
                  &pairs[1], &pairs[0], &end) != 6 ||
      static_cast<std::size_t>(end) != text.size())
    return std::nullopt;
  std::transform(pairs.begin(), pairs.end(), out.bytes.begin(),
                 [](unsigned p) { return static_cast<std::uint8_t>(p); });
  return out;
}

std::string address::text() const {
  char out[18];
  std::snprintf(out, sizeof out, "%02X:%02X:%02X:%02X:%02X:%02X", bytes[5], bytes[4], bytes[3], bytes[2],
                bytes[1], bytes[0]);
  return random ? std::string{out} + "/random" : std::string{out};
}

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
    return "the peer takes " + std::to_string(takes) +
           " bytes at once; set the parameter mtu to that or less";
  bt_security level{};
  size = sizeof level;
  if (::getsockopt(socket, SOL_BLUETOOTH, BT_SECURITY, &level, &size) != 0) return std::strerror(errno);
  if (level.level < static_cast<std::uint8_t>(s.level))
    return "the channel is less secure than the parameter security demands";
  return std::nullopt;
}

}  // namespace cpns::ble
