#pragma once
// `cpns gateways key` and `cpns gateways remove-key`: gateways without a certificate.

#include <filesystem>
#include <string>

#include "cli/server_access.hpp"

namespace cpns::cli {

/// Draws a key for the gateway `identity`, writes it to `file` (mode 0600, must not exist), and lets the gateway connect
/// by it. The file is durable before the server has the key; it is removed if the server certainly has it not.
done_or<int> give_gateway_key(const role_options& role, const std::string& identity,
                              const std::filesystem::path& file, bool json);
/// Takes the key of the gateway away.
done_or<int> take_gateway_key(const role_options& role, const std::string& identity, bool json);

}  // namespace cpns::cli
