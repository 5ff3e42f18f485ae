#pragma once
// `cpns transport check`.

#include <CLI/CLI.hpp>

#include "plugins/conformance/test.hpp"

namespace cpns::cli {

void add_transport_check(CLI::App& transport, int& code);

/// The tests of plugins/conformance, and one that runs all roles.
std::vector<conformance::test> transport_tests();

}  // namespace cpns::cli
