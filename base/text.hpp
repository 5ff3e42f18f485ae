#pragma once
// Text for people: quoting foreign text, suggestions for a misspelt word, times, patterns. [thread-safe]

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"

namespace cpns {

/// The candidate nearest to `word` by edit distance, if it is near enough for "did you mean".
std::optional<std::string_view> nearest(std::string_view word,
                                        const std::vector<std::string_view>& candidates);

/// In quotes, shortened to 60 bytes, other than printable ASCII as '?': safe for a terminal.
std::string shown(std::string_view text);

/// Whether it has control characters, those of two bytes (U+0080 to U+009F) included: a terminal obeys them.
bool has_controls(std::string_view text);
/// The text with '?' for each control character, for a person at a terminal.
std::string without_controls(std::string_view text);

/// A time in Unix seconds, as "2026-11-28 10:00:00Z".
std::string utc_text(std::int64_t unix_time);
/// As RFC 3339 in UTC with milliseconds, "2026-11-28T10:00:00.000Z": in the order of time if sorted as text.
std::string rfc3339_text(time_point t);

/// "1 device", "2 devices".
std::string plural(std::uint64_t n, std::string_view one);

/// Whether `text` equals `pattern`; a `*` at the end of the pattern stands for any rest.
bool fits(std::string_view pattern, std::string_view text);

}  // namespace cpns
