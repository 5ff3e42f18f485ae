#pragma once
// `cpns transport new`: a radio of one's own to begin with.

#include <CLI/CLI.hpp>

namespace cpns::cli {

void add_new(CLI::App& transport, int& code);

}  // namespace cpns::cli
