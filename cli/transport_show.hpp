#pragma once
// `cpns transport list` and `cpns transport show`: which radios there are, and what they can be told.

#include <CLI/CLI.hpp>

namespace cpns::cli {

void add_list(CLI::App& transport, int& code);
void add_show(CLI::App& transport, int& code);

}  // namespace cpns::cli
