#pragma once
// Whether a demo fits on this machine.

#include "base/result.hpp"
#include "cli/demo/demo.hpp"

namespace cpns::cli {

/// state_exhausted, naming the limit, if the radios cannot link all PNEs at the same time: max_links, open files of a
/// process, ports of an address.
status check_room(const demo_options& o);

}  // namespace cpns::cli
