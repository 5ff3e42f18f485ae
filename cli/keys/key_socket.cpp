#include "cli/keys/key_socket.hpp"

#include <optional>
#include <variant>

#include "config/loader.hpp"

namespace cpns::cli::keys {

void add_key_socket_options(CLI::App& command, key_socket_options& o) {
  command.add_option("--config", o.config,
                     "The YAML file of the gateway or of the PNEs, which names the key socket");
  command.add_option("--socket", o.socket, "The key socket, for users that may not read that file");
}

result<std::string> key_socket_of(const key_socket_options& o) {
  if (o.config.empty() == o.socket.empty())
    return fail(errc::config_usage, "name the role by either --config FILE or --socket PATH");
  if (!o.socket.empty()) return o.socket;
  const auto file = config::check_file(o.config);
  if (!file) return fail(file.error().as_error());
  std::optional<config::application_keys_config> keys;
  std::visit(
      [&keys](const auto& c) {
        if constexpr (requires { c.application_keys; }) keys = c.application_keys;
      },
      file->config);
  if (!keys)
    return fail(errc::config_missing,
                o.config + ": this role gives no keys to programs, because it has no 'application_keys'");
  return keys->socket.string();
}

}  // namespace cpns::cli::keys
