#pragma once
// Text forms of single values: durations, addresses, environment variables. Pure and thread-safe.

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
/// The shortest text that parse_duration reads as `d`.
std::string duration_text(milliseconds d);

/// "256MiB" or "1GiB": a whole number and its unit. config_type for anything else.
result<memory_size> parse_memory_size(std::string_view text);
/// The shortest text that parse_memory_size reads as `m`.
std::string memory_text(memory_size m);

/// "host:port" or "[IPv6]:port"; host name, IPv4 or IPv6 address, port 0 to 65535. config_type otherwise.
result<address> parse_address(std::string_view text);

/// Where a service is asked.
struct https_url {
  address at;        ///< port 443 if the text has none
  std::string path;  ///< without a '/' at its end; may be empty
};
/// "https://host[:port][/path]", without user, query and fragment. config_type for anything else.
result<https_url> parse_https_url(std::string_view text);

/// The error in the name of a role or of a transport; empty if there is none.
std::string wrong_name(std::string_view text);

/// Returns one environment variable; nullopt if it is not set.
using environment = std::function<std::optional<std::string>(std::string_view name)>;
/// The environment of this process.
environment process_environment();

/// Replaces ${NAME} and ${NAME:-default}; "$${" becomes "${". Errors: config_missing (the variable is not set and
/// has no default), config_syntax (no name, or no closing brace), config_range (the result is over 64 KiB). Values
/// of variables never appear in errors.
result<std::string> expand(std::string_view text, const environment& env);

}  // namespace cpns::config
