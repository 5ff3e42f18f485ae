#pragma once
// Connections whose other side is gone without a word: a power cut, a NAT that forgot, a cable.

#include "base/clock.hpp"

namespace cpns {

/// Has the kernel probe the peer of a TCP connection on which nothing came for `quiet`, and end the
/// connection when nothing came back: a dead peer of an idle connection is noticed within 1.5 times `quiet`,
/// and data that nobody acknowledges ends it after `quiet`. Seconds are the finest step; what the kernel does
/// not take is left as it is. A process that is frozen still acknowledges: only its silence tells.
void probe_when_quiet(int socket, milliseconds quiet);

}  // namespace cpns
