#pragma once
// A part of config/checks.cpp: the rules between the settings of `store`.

#include "config/reading.hpp"
#include "config/schema.hpp"

namespace cpns::config {

void check_server_store(const store_config& c, const report_fn& report);
void check_gateway_store(const store_config& c, const report_fn& report);

}  // namespace cpns::config
