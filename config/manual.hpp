#pragma once
// The descriptions of config/describe.hpp, written out: as JSON Schema for editors, and as the page
// docs/config.md.

#include <string>

#include "config/schema.hpp"

namespace cpns::config {

/// JSON Schema (draft 2020-12) of one role's file, indented, with a newline at the end.
std::string json_schema(role_kind role);

/// The whole of docs/config.md.
std::string reference_markdown();

}  // namespace cpns::config
