#pragma once
// `cpns device import`: the same requests and the same output, whether the server runs or is stopped.

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <boost/json/value.hpp>

#include "api/client.hpp"
#include "api/problem.hpp"
#include "base/private_file.hpp"
#include "base/secret.hpp"
#include "cli/audited.hpp"
#include "cli/role_client.hpp"
#include "server/imports.hpp"

namespace cpns::cli {

/// The resource /v1/imports of a server. Not thread-safe.
class imports_end {
 public:
  using answer = tl::expected<boost::json::value, api::problem>;
  virtual ~imports_end() = default;
  /// `body`: of the content type `type`; null for none. peer-closed and peer-timeout: the connection broke, see
  /// connect_again().
  virtual answer ask(api::verb v, const std::string& target, const secret_bytes& body,
                     const std::string& type) = 0;
  /// False: this end cannot be reached at present.
  virtual bool connect_again() = 0;
  /// Whether the results stay for other readers once the command has printed them.
  [[nodiscard]] virtual bool keeps_results() const = 0;
};

/// Through the API of a running server. Errors of connect_role.
result<std::unique_ptr<imports_end>> running_imports(const role_options& o);
/// The same for the server that `c` describes; nullptr if it does not run, or has no socket.
result<std::unique_ptr<imports_end>> running_imports(const config::server_config& c);
/// On the store of a stopped server, with the handlers of the API in this process. `to` outlives the object. Errors of
/// server::device_imports::open.
result<std::unique_ptr<imports_end>> stopped_imports(audited_server& to);

struct import_request {
  std::string name;  ///< of the import: the same for the same file, so that a repeated command goes on
  std::string file;  ///< for messages
  server::import_options options;
  byte_source source;
  /// Moves `source` to a byte of the list. Without this function the bytes before it are read.
  std::function<bool(std::uint64_t)> seek{};
  /// Asked between requests; true ends the transfer with state-stopping, and the import stands where it is. May be empty.
  std::function<bool()> stop{};
};

struct import_report {
  std::uint64_t imported = 0, bad = 0;
  std::string ended_before{};  ///< when, if a former command did it all; else empty
};

/// Called for each row that is left out (`text` begins with its place), then for each warning.
using row_printer = std::function<void(const std::string& text)>;

/// Sends the list, waits for the end of the import, and prints its rows. Goes on by itself after a broken connection,
/// for a minute. Errors: of the list as a whole, with its place; of `source`; those that the server gives.
tl::expected<import_report, api::problem> import_devices(imports_end& to, import_request r,
                                                         const row_printer& print);

/// The name of an import of this file with these options.
result<std::string> import_name(const private_file& file, const server::import_options& o);

}  // namespace cpns::cli
