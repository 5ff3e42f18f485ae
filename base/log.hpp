#pragma once
// Structured logs: a component, a stable event id in kebab-case, a sentence, and fields. Text or JSON, one
// line each. A secret cannot be passed; callers pass no frame that may contain one.

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace cpns::log {

enum class level : std::uint8_t { debug, info, warn, error, off };
enum class format : std::uint8_t { text, json };

inline constexpr int debug_burst = 20'000;
inline constexpr int debug_rate = 100;  ///< lines per second

struct field {
  std::string_view key;
  std::string value;
};

/// The log line of a machine's event: its stable id in kebab-case, its level, the step of the change request, and
/// the default text, for an event that has no text of its own.
struct event_line {
  std::string_view id;
  log::level level;
  std::string_view step;
  std::string_view text;
};

struct settings {
  format form = format::text;
  level threshold = level::info;
  std::map<std::string, level, std::less<>> components;  ///< thresholds of single components
  std::string file;                                      ///< empty: standard error
};

/// [thread-safe] Takes effect at once. Returns config_file if the file cannot be opened.
status configure(const settings& s);
/// [thread-safe]
bool enabled(level l, std::string_view component);
/// [thread-safe] Control characters in text and fields are written as escapes. Peers cause debug lines with every
/// message, so at most `debug_burst` of them are written at once, and `debug_rate` per second; a line
/// `debug-lines-left-out` counts the others, once in ten seconds.
void write(level l, std::string_view component, std::string_view event, std::string_view text,
           std::initializer_list<field> fields = {});

inline void debug(std::string_view c, std::string_view e, std::string_view t,
                  std::initializer_list<field> f = {}) {
  write(level::debug, c, e, t, f);
}
inline void info(std::string_view c, std::string_view e, std::string_view t,
                 std::initializer_list<field> f = {}) {
  write(level::info, c, e, t, f);
}
inline void warn(std::string_view c, std::string_view e, std::string_view t,
                 std::initializer_list<field> f = {}) {
  write(level::warn, c, e, t, f);
}
inline void error(std::string_view c, std::string_view e, std::string_view t,
                  std::initializer_list<field> f = {}) {
  write(level::error, c, e, t, f);
}

/// Called in a child process with each of its log lines, to pass them to the parent: level, event, and the text
/// with its fields.
using diverted_fn = std::function<void(level, std::string_view event, std::string_view text)>;
/// [thread-safe] From now on `to` is called for lines of `threshold` and above, on the thread that logs. `configure` ends this.
void divert(level threshold, diverted_fn to);

std::string_view name_of(level l);
/// "debug", "info", "warn", "error" or "off"; config_range otherwise.
result<level> parse_level(std::string_view text);

}  // namespace cpns::log
