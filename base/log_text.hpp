#pragma once
// A log line as text or JSON. Internal to the log. [thread-safe]

#include <fmt/format.h>

#include <chrono>
#include <span>
#include <string_view>

#include "base/log.hpp"

namespace cpns::log::detail {

/// Most lines fit into its first 500 bytes, which need no allocation.
using line_buffer = fmt::memory_buffer;

using line_time = std::chrono::system_clock::time_point;

/// Appends one line with a line break. Text and values of fields are escaped: valid UTF-8
/// without control characters, also for hostile names of radios and plugins.
void append_line(line_buffer& out, format form, level l, std::string_view component, std::string_view event,
                 std::string_view text, std::span<const field> fields,
                 line_time at = std::chrono::system_clock::now());
/// sd-daemon(3): "<3>" to "<7>", by which the journal knows the level of a line.
std::string_view priority_of(level l);
/// Appends ` key=value` for each field.
void append_fields(line_buffer& out, std::span<const field> fields);

}  // namespace cpns::log::detail
