#pragma once
// One JSON object (RFC 8259) whose values are texts, as a line of a device list is. Keys pass through here,
// so nothing is kept: the callback sees each pair, and buffers are wiped.

#include <functional>
#include <string_view>

#include "base/result.hpp"

namespace cpns::cli {

/// Both views are valid during the call; false ends the reading.
using json_pair_fn = std::function<bool(std::string_view key, std::string_view value)>;

/// config_syntax with what is wrong and the column; never quotes a value. A null value is passed over.
status read_flat_json(std::string_view text, const json_pair_fn& pair);

}  // namespace cpns::cli
