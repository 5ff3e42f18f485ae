#pragma once
// Tries a plugin in a child process before it is let into a role: load, entry, open, close, two seconds in all. What crashes or
// hangs there is refused, and the role goes on.

#include <optional>
#include <string>

#include "base/clock.hpp"
#include "plugins/host/loader.hpp"

namespace cpns::plugins {

inline constexpr milliseconds probe_time{2000};

/// Runs this very program as the child (see probe_child). An error names the plugin's file and what it did.
status probe_transport(const transport_spec& spec);

/// The first thing that main() of every program that loads plugins does: if this process is a probing child, does its work and returns
/// its exit code; nullopt otherwise.
std::optional<int> probe_child(int argc, char** argv);

}  // namespace cpns::plugins
