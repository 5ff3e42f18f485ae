#pragma once
// The form of one line: a JSON object whose last member is a MAC.
//
//   {"number":N,"time":"...","kind":"...", ..., "previous":"MAC of line N-1","mac":"MAC"} LF
//
// MAC = HMAC-SHA-256(key, the bytes of the line before `,"mac":`), 64 lower-case hexadecimal digits. The line before
// the first one has the number 0 and a MAC of zeros.

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "audit/entry.hpp"
#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/secret.hpp"

namespace cpns::audit {

inline constexpr std::size_t line_size_max = 32 * 1024;  ///< bytes, with its line end
/// Lines that share one sync; a crash leaves at most so many genuine lines after the head.
inline constexpr std::size_t batch_lines_max = 128;
inline constexpr std::size_t text_max = 512;        ///< bytes of `object` and `reason`
inline constexpr std::size_t short_text_max = 256;  ///< bytes of every other text
inline constexpr std::size_t state_max = 4096;      ///< bytes of `before` and `after` as JSON

using line_mac = byte_array<32>;

/// The place in the chain after a line.
struct link {
  std::uint64_t number = 0;
  line_mac mac{};
  friend bool operator==(const link&, const link&) = default;
};

/// A line whose MAC is right.
struct genuine_line {
  link at;
  line_mac previous{};
  boost::json::object fields;
  [[nodiscard]] std::string_view text(std::string_view key) const;  ///< empty if it is missing or not a text
  [[nodiscard]] std::uint64_t count(std::string_view key) const;    ///< 0 if it is missing or not a number
};

/// Appends the line of `fields` to `out` and moves `at` to it. `fields` begins with "kind". The line is JSON whatever the
/// fields are: one line that is not would spoil the check of all lines after it.
void append_line(std::string& out, link& at, const boost::json::object& fields, time_point now,
                 const secret32& key);
/// nullopt if the MAC is not that of the line under this key. `line` is without its line end.
std::optional<genuine_line> read_line(std::string_view line, const secret32& key);

/// At most `max` bytes of valid UTF-8: other bytes become U+FFFD, a longer text ends with "...".
std::string clean_text(std::string_view text, std::size_t max);
/// The same for all texts of a state; a state that is longer than state_max becomes {"left_out_bytes": N}.
boost::json::value clean_state(const boost::json::value& v);

/// The fields of the lines of a change: an intent, its outcome, a refusal.
boost::json::object intent_fields(const change& c);
boost::json::object outcome_fields(const unfinished& of, const outcome& o, bool recovered);
boost::json::object refusal_fields(const change& c, std::string_view reason);
/// The change of an intent's line, as JSON, for the time until its outcome is written; and back.
std::string open_text(const boost::json::object& intent);
std::optional<unfinished> read_open_text(std::uint64_t number, std::string_view text);

}  // namespace cpns::audit
