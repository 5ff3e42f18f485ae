#pragma once
// The tests of `cpns transport check`: those of plugins/conformance, and one that takes the real roles.

#include "plugins/conformance/test.hpp"

namespace cpns::cli {

std::vector<conformance::test> transport_tests();

}  // namespace cpns::cli
