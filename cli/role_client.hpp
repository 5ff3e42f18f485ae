#pragma once
// Commands that ask a running role through its API.

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <CLI/CLI.hpp>

#include "api/client.hpp"
#include "config/schema.hpp"

namespace cpns::cli {

/// Connects to the role that `c` describes. config_missing if it has no socket; errors of api::client::connect.
result<api::client> connect_role(const config::api_config& c);

/// Where a command finds the role.
struct role_options {
  std::optional<config::role_kind> role = config::role_kind::server;  ///< nullopt: any
  std::string config{}, socket{};          ///< on this machine: its YAML file, or its socket
  std::string url{}, cert{}, key{}, ca{};  ///< on any machine: https://HOST:PORT, and the client's TLS files
  bool config_given = false;               ///< on the command line: `config` may have a default
  [[nodiscard]] bool remote() const { return !url.empty(); }
  /// By its socket or URL: it must run, and the command opens no store.
  [[nodiscard]] bool names_running() const { return remote() || !socket.empty(); }
};
/// --config, --socket, --url, --cert, --key and --ca; `what_file_names` ends the explanation of --config. A default of
/// `o.config` is shown.
void add_role_options(CLI::App& command, role_options& o,
                      std::string_view what_file_names = "its API socket");
/// config_usage if two options name a role, or none, or one of the files of a URL is missing.
status check_naming(const role_options& o);
/// Connects to the role, and asks which one it is if --url or --socket named it. config_range if it is another role, or
/// gives no level to this client; errors of check_naming, of the configuration and of both functions api::client::connect.
result<api::client> connect_role(const role_options& o);
/// A line of an example in --help: "  cpns COMMAND --url ...", for a role of this kind.
std::string url_example(const std::string& command, config::role_kind role = config::role_kind::server);

/// The JSON of the answer; null if it has no body. A refusal of the role comes as its problem, a failed connection too.
tl::expected<boost::json::value, api::problem> ask_role(api::client& role, api::verb v,
                                                        const std::string& target,
                                                        const std::optional<boost::json::value>& body = {});

/// The same with a body as text, which may hold secrets; empty: none.
tl::expected<boost::json::value, api::problem> ask_role(api::client& role, api::verb v,
                                                        const std::string& target, secret_bytes body);

/// The document of /health/ready, which answers 503 with the same members as 200: `ready` and `reasons`.
tl::expected<boost::json::value, api::problem> ask_readiness(api::client& role);

/// Reads the page of a list that follows a row: its rows, and the member `next`. Empty: the first page.
using page_reader = std::function<tl::expected<boost::json::value, api::problem>(const std::string& after)>;
/// The pages of a running role. `target`: the path of the list, with or without a query. `role` outlives the reader.
page_reader pages_of(api::client& role, const std::string& target);

/// Reads all pages. `take` gets each row of `member`, in order, when its page arrives.
tl::expected<void, api::problem> read_all(const page_reader& pages, const std::string& member,
                                          const std::function<void(const boost::json::object&)>& take);

/// The same for a command: prints the rows as `{"MEMBER": [...]}`, a row per line, if `as_json`, else by `print`, after
/// the line `heading`. Returns the exit code.
int print_all(const page_reader& pages, const std::string& member, bool as_json, std::string_view heading,
              const std::function<void(const boost::json::object&)>& print);

/// A member as text; "-" if it is missing.
std::string text_of(const boost::json::object& o, std::string_view member);

/// "sleep", "wake", "button" or "reset" for one device of a process of PNEs, or for all if `entity` is empty.
tl::expected<void, api::problem> command_devices(api::client& role, const std::string& what,
                                                 const std::string& entity);

/// Prints "cpns: DETAIL" on standard error. Returns exit_failed.
int report(const api::problem& p);
/// Of a command that found the store of a running role `locked`, and then asked the role in vain: if its API cannot be
/// reached, the role can still be stopped.
int report_running(const error& locked, const api::problem& why);

}  // namespace cpns::cli
