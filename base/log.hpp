#pragma once
// Structured logs: a component, a stable event id in kebab-case, a sentence, and fields. Text or JSON, one
// line each. A secret cannot be passed; callers pass no frame that may contain one. Lines go through a bounded
// queue to one thread that writes them, so a caller never waits for a disk (docs/adr/0021).

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace cpns::log {

enum class level : std::uint8_t { debug, info, warn, error, off };
enum class format : std::uint8_t { text, json };

inline constexpr int debug_burst = 20'000;
inline constexpr int debug_rate = 100;  ///< lines per second

/// Bounds of the queue. A line over a bound is dropped and counted; lines of level error may use the reserve too, so
/// that they are kept when others fill the queue. The lines that are being written count. The queue has room for a
/// burst of debug lines.
inline constexpr std::size_t queue_lines_max = 32'768;
inline constexpr std::size_t queue_bytes_max = 8U << 20;
inline constexpr std::size_t error_lines_reserve = 1024;
inline constexpr std::size_t error_bytes_reserve = 256U << 10;

/// The end of a process waits this long for its last lines.
inline constexpr std::chrono::milliseconds flush_limit{2000};

/// All components, sorted.
inline constexpr auto component_names = std::to_array<std::string_view>(
    {"actors", "assignment", "audit", "gateway", "log", "pn_gw", "pne", "radio", "server", "store"});
constexpr bool is_component(std::string_view name) {
  return std::find(component_names.begin(), component_names.end(), name) != component_names.end();
}
/// "actors, assignment, ...", for an error about an unknown one.
std::string component_list();

/// A component that is not in `component_names` has no level that could be set, so a literal that is not there does
/// not compile. Does not own its text.
class component {
 public:
  template <std::size_t N>
  consteval component(const char (&name)[N]) : name_(name, N - 1) {
    if (!is_component(name_)) throw "add it to component_names";
  }
  constexpr component(std::string_view name) : name_(name) {}
  component(const std::string& name) : name_(name) {}
  [[nodiscard]] constexpr std::string_view name() const { return name_; }

 private:
  std::string_view name_;
};

/// Of one call: it owns nothing, so none is kept. A text that is made for it lives until the call returns.
struct field {
  std::string_view key, value;
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
  /// Empty: standard error. If the journal of systemd reads that (JOURNAL_STREAM names it), each line begins with its
  /// priority, "<3>" to "<7>", which the journal removes.
  std::string file;
};

/// [thread-safe] Takes effect at once, also for levels that were set at run time; lines logged before go to the file
/// of before. The first call starts the writer: until then, and in a child made by fork, each call writes its line
/// itself. Opens the file, so it may wait for the disk. Returns config_file if the file cannot be opened, internal
/// if the system provides no thread; the log then goes on as before.
status configure(const settings& s);
/// [thread-safe] Whether the log or the observer takes such a line: if not, a caller need not build it.
bool enabled(level l, component c);
/// [thread-safe] Never waits for the disk; the line has the time of the call, and lines of one thread keep their order.
/// Control characters in text and fields are written as escapes. Peers cause debug lines with every message, so at
/// most `debug_burst` of them are written at once, and `debug_rate` per second; a line `debug-lines-left-out` counts
/// the others, once in ten seconds. Lines that the queue had no room for are counted by a line `log-lines-dropped`.
void write(level l, component c, std::string_view event, std::string_view text,
           std::initializer_list<field> fields = {});

inline void debug(component c, std::string_view e, std::string_view t, std::initializer_list<field> f = {}) {
  write(level::debug, c, e, t, f);
}
inline void info(component c, std::string_view e, std::string_view t, std::initializer_list<field> f = {}) {
  write(level::info, c, e, t, f);
}
inline void warn(component c, std::string_view e, std::string_view t, std::initializer_list<field> f = {}) {
  write(level::warn, c, e, t, f);
}
inline void error(component c, std::string_view e, std::string_view t, std::initializer_list<field> f = {}) {
  write(level::error, c, e, t, f);
}

/// [thread-safe] Waits until all lines logged before are written (not synced), at most `limit`; returns at once if
/// the disk fails. False: some are not written. The end of a process calls it by itself, except _exit and abort.
bool flush(std::chrono::milliseconds limit = flush_limit);

/// Since the start of the process.
struct counters {
  std::uint64_t written = 0;       ///< lines
  std::uint64_t dropped = 0;       ///< lines that the queue had no room for
  std::uint64_t write_errors = 0;  ///< failed attempts to write, at most about one per second
  std::size_t queued = 0;          ///< lines in the queue now, with those that are being written
  std::size_t queued_bytes = 0;
};
/// [thread-safe]
counters statistics();

struct present_levels {
  level threshold = level::info;                         ///< of components without a level of their own
  std::map<std::string, level, std::less<>> components;  ///< levels of their own
};
/// [thread-safe]
present_levels levels();
/// [thread-safe] The level that applies to `c`.
level level_of(component c);
/// [thread-safe] Sets the level of one component, or, if `component` is empty, of all that have none of their own, until
/// the next `configure` or `reset_levels`. nullopt: the component has no level of its own any more. Returns
/// state_unknown for an unknown component, config_range for nullopt without a component.
status set_level(std::string_view component, std::optional<level> l);
/// [thread-safe] Back to the levels of the last `configure`.
void reset_levels();

/// Called in a child process with each of its log lines, to pass them to the parent: level, event, and the text
/// with its fields.
using diverted_fn = std::function<void(level, std::string_view event, std::string_view text)>;
/// [thread-safe] From now on `to` is called for lines of `threshold` and above, on the thread that logs. `configure` ends this.
void divert(level threshold, diverted_fn to);

/// Most of the lines that are kept for a reader are never read, and to format one costs more than to log it. So this has the parts
/// of a line, with the time at which it was made, until somebody wants its text.
class packed_line {
 public:
  packed_line(level l, component c, std::string_view event, std::string_view text,
              std::initializer_list<field> fields);
  /// Valid as long as this is neither moved nor destroyed.
  [[nodiscard]] std::string_view event() const;
  /// Without a line break.
  [[nodiscard]] std::string json() const;
  /// Bytes.
  [[nodiscard]] std::size_t size() const { return parts_.size(); }

 private:
  std::chrono::system_clock::time_point at_;
  level level_;
  std::string parts_;  ///< component, event, text, then keys and values; the size of each in front of it
};

/// Called for each line of level info and above, whatever the thresholds are. On the thread that logs; must not block and
/// must not log.
using observer_fn = std::function<void(packed_line)>;
/// [thread-safe] From now on `to` is called too, also after `configure`; an empty function ends it. A call of the former
/// one may still be under way on another thread.
void observe(observer_fn to);

/// What a line on standard error that is not one of the log begins with: its priority if the journal of systemd reads
/// it, else nothing.
std::string_view journal_priority(level l);

std::string_view name_of(level l);
/// "debug", "info", "warn", "error" or "off"; config_range otherwise.
result<level> parse_level(std::string_view text);

}  // namespace cpns::log
