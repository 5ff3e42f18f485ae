#pragma once
// Words of strangers in our messages, and the word that was meant. [thread-safe]

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cpns {

/// The candidate nearest to `word` by edit distance, if one is near enough to be what was meant.
std::optional<std::string_view> nearest(std::string_view word,
                                        const std::vector<std::string_view>& candidates);

/// In quotes, shortened to 60 bytes, with what is not printable ASCII as '?': fit for a terminal.
std::string shown(std::string_view text);

}  // namespace cpns
