#pragma once
// Where the commands of `cpns keys` find the key socket of a role.

#include <string>

#include <CLI/CLI.hpp>

#include "base/result.hpp"

namespace cpns::cli::keys {

struct key_socket_options {
  std::string config, socket;
};
/// --config and --socket.
void add_key_socket_options(CLI::App& command, key_socket_options& o);
/// From the YAML file, if no socket is named. config_usage if both or none are given; config_missing if the role has none;
/// errors of the configuration.
result<std::string> key_socket_of(const key_socket_options& o);

/// Ends the sentence of an error for want of rights.
inline const std::string access_hint =
    "the folder of the key socket keeps this user out; the role itself asks "
    "application_keys.purposes.PURPOSE.allow";

}  // namespace cpns::cli::keys
