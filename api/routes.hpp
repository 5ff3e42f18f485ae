#pragma once
// The routes of a role as a table: verb, path, the level that it needs, and its handler.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/value.hpp>

#include "api/http.hpp"

namespace cpns::api {

/// Called on one of the API's worker threads; may block for some seconds.
using handler = std::function<outcome(const request&)>;
using streaming_handler = std::function<outcome(const request&, body_source&)>;
/// The state of the object that a request names, for the audit trail: without secrets, null if it does not exist.
using describer = std::function<boost::json::value(const request&)>;
/// The state that the object is to have, from the request and its state before; for the audit trail, without secrets.
using foreteller = std::function<boost::json::value(const request&, const boost::json::value& before)>;

inline constexpr std::size_t body_max_default = 64 * 1024;  ///< bytes

struct route {
  api::verb verb;
  std::string path;  ///< "/v1/users/{user}": {NAME} stands for one part of the path
  level needs = level::viewer;
  handler handle{};                   ///< of a change: the request has no query
  streaming_handler handle_stream{};  ///< in place of `handle`: reads the body itself
  std::uint64_t body_max =
      body_max_default;  ///< bytes; 0: a request with a body is refused before it is read
  /// For changes: the action in the audit trail, the {NAME} of the object or the member of the body that names it, whether
  /// a text can be such a name (without this, the audit trail has no name), members of the body that are secret, the state
  /// of the object before and after, and the one that it is to have. A client may put a secret into any member, so the
  /// last one has only values that were read as that which they should be; without it, the audit trail has none.
  std::string action{};
  std::string object{};
  std::function<bool(const std::string&)> is_name{};
  std::vector<std::string> secret_members{};
  describer describe{};
  foreteller foretell{};
  /// False: it changes the running role alone, so it is done while the store of the role is away, too.
  bool needs_store = true;
  /// The handler, or work that it begins, writes the lines of its change. A refusal before it is recorded as any other.
  bool records_itself = false;
  /// Not 0: so many of its requests are worked on at a time, others are refused. For handlers that keep a worker for long.
  std::size_t at_once = 0;
  /// Answered to anybody on the plain listener for probes, too.
  bool probe = false;
};

struct route_match {
  const route* to = nullptr;  ///< nullptr: none fits
  text_map values;            ///< of the parts in braces, decoded
};

/// [thread-safe] once it is filled.
class route_table {
 public:
  /// The first of two routes that fit wins. A change needs an action.
  void add(route r);
  void add(std::vector<route> all);
  [[nodiscard]] route_match find(verb v, std::string_view path) const;
  /// The verbs that a path has; `probes`: for clients of the port for probes. Empty: the path does not exist.
  [[nodiscard]] std::vector<verb> verbs_of(std::string_view path, bool probes = false) const;
  [[nodiscard]] const std::vector<route>& all() const { return routes_; }

 private:
  std::vector<route> routes_;
};

/// Decodes %XX; nullopt if it is malformed, or the text has a NUL or is not UTF-8.
std::optional<std::string> decode_percent(std::string_view text);
/// Encodes everything but letters, digits and "-._~", for a part of a path or a query.
std::string encode_percent(std::string_view text);
/// "a=1&b=2", '+' is a blank; nullopt if a part is malformed or a name occurs twice.
std::optional<text_map> parse_query(std::string_view text);

}  // namespace cpns::api
