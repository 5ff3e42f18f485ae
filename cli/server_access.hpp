#pragma once
// The server as `cpns user`, `device`, `entity` and `gateways` reach it: through the API of the running one, or by the store
// of a stopped one. The output is the same, because both show the same JSON.

#include <memory>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "api/client.hpp"
#include "cli/audited.hpp"
#include "cli/role_client.hpp"
#include "cli/terminal.hpp"
#include "server/admin_pages.hpp"

namespace cpns::cli {

/// Why a command failed: an error of its own, or a problem of the role that it asked.
struct command_failed {
  std::string text;
  int code = exit_failed;
  bool exists = false;                    ///< the thing to add is there already: nothing was changed
  command_failed(const error& e);         // NOLINT(google-explicit-constructor): CPNS_TRY converts
  command_failed(const api::problem& p);  // NOLINT(google-explicit-constructor)
};
template <class T>
using done_or = tl::expected<T, command_failed>;

/// Prints "cpns: TEXT" on standard error, after the log lines of before. Returns the exit code.
int report(const command_failed& why);

/// The connection to the running server that `c` describes; nullopt if nobody listens at its socket, or it has none. Errors
/// of api::client::connect.
result<std::optional<api::client>> connect_if_running(const config::api_config& c);

/// Of `--limit` and `--after`: one page of a list in place of all rows.
struct list_page {
  std::size_t limit = 0;  ///< 0: all rows
  std::string after{};
  std::string next{};  ///< after list(): the `after` of the page behind it; empty: none
};
/// Declares --limit and --after.
void add_page_options(CLI::App& c, list_page& to);

/// Either the connection to a running server, or the open store of a stopped one. Movable.
class server_access {
 public:
  /// A server that answers at its socket is running. If nobody listens at the socket of --config, the store is opened: with
  /// the audit trail if `changes`. Errors of connect_role, config::load_server and open_server_store.
  static done_or<server_access> open(const role_options& o, bool changes);

  [[nodiscard]] bool running() const { return role_.has_value(); }
  /// A request to the running server, and the JSON of its answer.
  done_or<boost::json::value> ask(api::verb v, const std::string& target, secret_bytes body = {});
  /// The same for an answer that is a text with secrets.
  done_or<secret_bytes> ask_secret(api::verb v, const std::string& target, secret_bytes body);
  [[nodiscard]] storage::sealed_store& store() { return stopped_->store.sealed(); }
  [[nodiscard]] audit::trail& trail() { return *stopped_->trail; }

  /// Reads a page of the stopped server's store.
  using page_reader =
      std::function<result<boost::json::object>(const storage::sealed_store&, const server::page_asked&)>;
  /// All rows of a list, sorted by `member_of_row`: over all pages of `path`?`query`, or of `page`. Tells on standard error
  /// how many rows cannot be read. With a limit in `one`: the rows of that page alone.
  done_or<boost::json::array> list(const std::string& path, const std::string& query, const char* rows,
                                   const char* member_of_row, const page_reader& page,
                                   list_page* one = nullptr);

 private:
  std::optional<api::client> role_;
  std::optional<audited_server> stopped_;
};

/// The file that commands for a server take without --config.
inline constexpr const char* server_file = "server.yaml";

/// Declares a subcommand that works on a running or stopped server: with the options of `o->role` and --json, and `run`
/// returning the exit code.
template <class Options>
CLI::App* server_command(CLI::App& parent, const std::shared_ptr<Options>& o, int& code, const char* name,
                         const char* help, done_or<int> (*run)(Options&)) {
  auto* c = parent.add_subcommand(name, help);
  add_role_options(*c, o->role, "its API socket and its store");
  c->add_flag("--json", o->json, "Print the answer as JSON");
  c->callback([o, run, &code] {
    const auto done = run(*o);
    code = done ? *done : report(done.error());
  });
  return c;
}

/// Prints {ROWS: rows}, with "next" for one page.
void print_rows(const char* rows, boost::json::array found, const list_page& one);
/// Says on standard error how to ask for the next page.
void print_next(const list_page& one);
/// Prints one line of JSON.
void print_answer(const boost::json::value& v);
/// {"done": true} as JSON, or the text.
void print_done(bool json, const std::string& text);
/// A member of an object as text; `otherwise` if it is null or missing.
std::string member_text(const boost::json::object& o, const char* member, const char* otherwise = "-");
/// A member with a time of the API as utc_text() shows it.
std::string member_time(const boost::json::object& o, const char* member, const char* otherwise);

}  // namespace cpns::cli

namespace cpns {
/// For CPNS_TRY in a command.
inline tl::unexpected<cli::command_failed> fail(cli::command_failed why) {
  return tl::unexpected<cli::command_failed>(std::move(why));
}
}  // namespace cpns
