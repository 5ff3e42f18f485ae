#pragma once
// L2CAP connection-oriented channels over LE: the sockets, which keep the bounds of frames. Throws
// std::system_error where the kernel refuses.

#include <memory>
#include <optional>
#include <string>

#include "transports/ble/address.hpp"
#include "transports/ble/channel.hpp"
#include "transports/ble/fd.hpp"
#include "transports/ble/settings.hpp"

namespace cpns::ble {

/// A listening socket at `psm` of the adapter with this address.
fd listen_at(const address& adapter, std::uint8_t psm, const settings& s);
/// A socket whose connection is under way.
fd begin_connect(const address& adapter, const address& peer, std::uint8_t psm, const settings& s);
/// The next connection that waits at `listener`, or none.
fd accept_one(int listener, address& peer);
/// 0 if the connection came up, or errno's value.
int connect_outcome(int socket);
/// What is wrong with a channel that is up: the peer takes less than a frame, or it is not as secure as it
/// has to be.
std::optional<std::string> shortcoming(int socket, const settings& s);
/// Of a connection that is up.
std::unique_ptr<channel> make_l2cap(fd socket, std::uint32_t mtu);

}  // namespace cpns::ble
