#pragma once
// A log line as text or JSON. Internal to the log. [thread-safe]

#include <fmt/format.h>

#include <initializer_list>
#include <string_view>

#include "base/log.hpp"

namespace cpns::log::detail {

/// Most lines fit into its first 500 bytes, which need no allocation.
using line_buffer = fmt::memory_buffer;

/// Appends one line with the present time and a line break. Text and values of fields are escaped: valid UTF-8
/// without control characters, also for hostile names of radios and plugins.
void append_line(line_buffer& out, format form, level l, std::string_view component, std::string_view event,
                 std::string_view text, std::initializer_list<field> fields);
/// sd-daemon(3): "<3>" to "<7>", by which the journal knows the level of a line.
std::string_view priority_of(level l);
/// Appends ` key=value` for each field.
void append_fields(line_buffer& out, std::initializer_list<field> fields);

}  // namespace cpns::log::detail
