#pragma once
// The text forms of single values: durations, addresses, and the words around them. Pure and thread-safe.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/text.hpp"
#include "config/schema.hpp"

namespace cpns::config {

/// "500ms", "10s", "15m", "24h" or "7d": a whole number and its unit. config_type for anything else.
result<milliseconds> parse_duration(std::string_view text);
/// The shortest form that parse_duration reads as the same.
std::string duration_text(milliseconds d);

/// "host:port" or "[IPv6]:port"; a name, an IPv4 or an IPv6 address, port 0 to 65535. config_type otherwise.
result<address> parse_address(std::string_view text);

/// Reads one environment variable; nullopt if it is not set.
using environment = std::function<std::optional<std::string>(std::string_view name)>;
/// The process's own environment.
environment process_environment();

/// Replaces ${NAME} and ${NAME:-default}; "$${" is a "${" that stays. config_missing for a variable that is
/// not set and has no default, config_syntax for one without a name or an end. The values of variables never
/// appear in errors.
result<std::string> expand(std::string_view text, const environment& env);

}  // namespace cpns::config
