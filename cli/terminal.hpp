#pragma once
// Colours and progress for people; plain lines when standard output is no terminal or NO_COLOR is set.

#include <cstdint>
#include <string>
#include <string_view>

namespace cpns::cli {

bool stdout_is_terminal();

enum class colour : std::uint8_t { plain, bold, dim, green, yellow, red, blue };
/// `text` in a colour, or as it is.
std::string paint(colour c, std::string_view text);

/// "[#######---]  70 %", `width` characters between the brackets.
std::string bar(std::uint64_t done, std::uint64_t all, int width = 40);

/// Rewrites the last line on a terminal; does nothing elsewhere.
void show_status(std::string_view line);
void clear_status();

}  // namespace cpns::cli
