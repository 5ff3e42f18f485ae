#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace cpns::config {

/// What a configuration reads of its environment in tests: nothing.
inline std::optional<std::string> no_environment(std::string_view) { return std::nullopt; }

}  // namespace cpns::config
