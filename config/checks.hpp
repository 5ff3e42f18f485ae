#pragma once
// What must hold between settings; single values were checked before.

#include <functional>
#include <string>
#include <string_view>

#include "base/errc.hpp"
#include "config/schema.hpp"

namespace cpns::config {

/// Takes the key of a setting, as in "keys.lifetime", and what is wrong with it.
using report_fn = std::function<void(std::string_view key, errc code, std::string text)>;

void check(const server_config& c, const report_fn& report);
void check(const gateway_config& c, const report_fn& report);
void check(const pne_config& c, const report_fn& report);

}  // namespace cpns::config
