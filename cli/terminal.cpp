#include "cli/terminal.hpp"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

namespace cpns::cli {

bool stdout_is_terminal() {
  static const bool yes = ::isatty(STDOUT_FILENO) == 1;
  return yes;
}

std::string paint(colour c, std::string_view text) {
  static const bool on = stdout_is_terminal() && std::getenv("NO_COLOR") == nullptr;
  constexpr std::array<std::string_view, 7> codes{"0", "1", "2", "32", "33", "31", "34"};
  if (!on || c == colour::plain) return std::string{text};
  return "\033[" + std::string{codes[static_cast<std::size_t>(c)]} + "m" + std::string{text} + "\033[0m";
}

std::string bar(std::uint64_t done, std::uint64_t all, int width) {
  const auto filled = all == 0 ? 0 : static_cast<int>(done * static_cast<std::uint64_t>(width) / all);
  return "[" + std::string(static_cast<std::size_t>(filled), '#') +
         std::string(static_cast<std::size_t>(width - filled), '-') + "]";
}

void show_status(std::string_view line) {
  if (!stdout_is_terminal()) return;
  std::fprintf(stdout, "\r\033[K%.*s", static_cast<int>(line.size()), line.data());
  std::fflush(stdout);
}

void clear_status() { show_status(""); }

}  // namespace cpns::cli
