#pragma once
// What the loader and the probing child share.

#include "plugins/host/loader.hpp"

namespace cpns::plugins {

/// load_transport, or with `probe` an instance that leaves no trace.
open_result<std::unique_ptr<transport>> open_plugin(const transport_spec& spec, bool probe,
                                                    transport_listener& listener);
/// Loads the file into this process and reads what it declares.
result<plugin_description> describe_file(const std::string& file);

}  // namespace cpns::plugins
