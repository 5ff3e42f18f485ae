#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace cpns::config {

/// An environment without variables.
inline std::optional<std::string> no_environment(std::string_view) { return std::nullopt; }

}  // namespace cpns::config
