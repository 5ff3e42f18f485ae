#pragma once
// The process of one radio: loads the plugin and serves the role that started it.

namespace cpns::plugins::isolation {

/// The first argument of a process that is a radio's. Behind it come the number of the socket and the name of
/// the transport, which is there for people who look at a list of processes; all else comes over the socket.
inline constexpr const char* radio_child_flag = "--cpns-radio-child";

/// The whole life of such a process: main() calls it first of all when argv[1] is radio_child_flag. Does not
/// return if it was started as it should be.
int radio_child_main(int argc, char** argv);

}  // namespace cpns::plugins::isolation
