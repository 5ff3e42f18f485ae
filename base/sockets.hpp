#pragma once
// Helpers for sockets of the system.

#include <cstdint>

#include "base/clock.hpp"

namespace cpns {

/// A port of 127.0.0.1 that is free now, of TCP (`kind` SOCK_STREAM) or UDP (SOCK_DGRAM); 0 if there is none.
/// Another process may take it at once, so this is for demos and tests. [thread-safe]
std::uint16_t free_port(int kind);

/// Detects a peer that is gone without a word: a power cut, a NAT that forgot, a cable. The kernel probes the
/// peer of the TCP connection after about half of `quiet` without data. It closes the connection when nothing was
/// received for `quiet`, at least 2 s, or data was not acknowledged for so long. Rounded up to whole seconds; an
/// option that the kernel refuses keeps its value. A frozen process still acknowledges: it is detected only by its
/// silence.
void probe_when_quiet(int socket, milliseconds quiet);

}  // namespace cpns
