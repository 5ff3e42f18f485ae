#pragma once
// L2CAP connection-oriented channels over LE. Their sockets keep the boundaries of frames. The functions throw
// std::system_error if the kernel refuses.

#include <memory>
#include <optional>
#include <string>

#include "transports/ble/advert.hpp"
#include "transports/ble/channel.hpp"
#include "transports/ble/loop.hpp"
#include "transports/ble/settings.hpp"

namespace cpns::ble {

/// A listening socket on `psm` of the adapter with this address.
fd listen_at(const address& adapter, std::uint8_t psm, const settings& s);
/// A socket that is connecting.
fd begin_connect(const address& adapter, const address& peer, std::uint8_t psm, const settings& s);
/// The next connection pending at `listener`; invalid if there is none.
fd accept_one(int listener, address& peer);
/// Result of begin_connect(): 0, or an errno value.
int connect_outcome(int socket);
/// Why a connected channel cannot be used: the peer's MTU is too small, or the security is too low. nullopt: it
/// can.
std::optional<std::string> shortcoming(int socket, const settings& s);
/// The channel of a connected socket.
std::unique_ptr<channel> make_l2cap(fd socket, std::uint32_t mtu);

}  // namespace cpns::ble
