#pragma once
// Words for people: those of strangers in our messages, the word that was meant, times, patterns.
// [thread-safe]

#include <cstdint>
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

/// A time in Unix seconds, as "2026-11-28 10:00:00Z".
std::string utc_text(std::int64_t unix_time);

/// Whether `text` is `pattern`, or begins with it up to the `*` that the pattern ends in.
bool fits(std::string_view pattern, std::string_view text);

}  // namespace cpns
