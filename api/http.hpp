#pragma once
// Requests and answers of a role's HTTP API as its handlers see them, without the HTTP library.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/access.hpp"
#include "api/problem.hpp"
#include "base/secret.hpp"

namespace cpns::api {

enum class verb : std::uint8_t { get, post, put, patch, del };
/// "GET", "POST", "PUT", "PATCH", "DELETE".
std::string_view name_of(verb v);
/// Whether a request with this verb may change something.
constexpr bool changes(verb v) { return v != verb::get; }

using text_map = std::map<std::string, std::string, std::less<>>;

struct request {
  api::verb verb = verb::get;
  bool head = false;     ///< the body of the answer is left out
  std::string path;      ///< as sent, without the query
  text_map path_values;  ///< the parts of the path that stand for {NAME} in the route, decoded
  text_map query;        ///< decoded; each name at most once
  std::string content_type;
  secret_bytes body;       ///< empty on routes that stream
  std::string id;          ///< of the request: the client's, or one that the server drew
  std::string last_event;  ///< the header Last-Event-ID
  peer from;

  /// The value of {name}; every handler knows the names of its own route.
  [[nodiscard]] const std::string& at(std::string_view name) const { return path_values.find(name)->second; }
};

class event_hub;

/// An answer that is made while it is sent.
class part_source {
 public:
  virtual ~part_source() = default;
  /// The next part, which is wiped after it was sent; empty: the answer is whole, or, if it goes on, nothing is new. Called
  /// on worker threads, one call at a time; may block for some seconds. After an error the connection is closed before the
  /// end of the answer.
  virtual result<std::string> next() = 0;
  /// Whether the answer has no end: it counts as a reader of events.
  [[nodiscard]] virtual bool goes_on() const { return false; }
  /// Of an answer that goes on: `wake` is called, on any thread, when something may be new, until the ticket is dropped. It
  /// does not block.
  virtual std::shared_ptr<void> listen(std::function<void()> wake) {
    static_cast<void>(wake);
    return nullptr;
  }
  /// Whether the last part had all that was known: the next one is asked for after a `wake`. Not called while next() runs.
  [[nodiscard]] virtual bool drained() const { return false; }
  /// Of an answer that goes on: after a part the next one waits for so long, so that changes in quick succession go in one. A
  /// change that comes later than that is sent at once.
  [[nodiscard]] virtual std::chrono::milliseconds gathers() const { return {}; }
  /// Sent when nothing was new for http_limits::heartbeat. Does not block.
  virtual std::string heartbeat() { return {}; }
};

struct response {
  response() = default;
  response(const response&) = default;
  response(response&&) = default;
  response& operator=(const response&) = default;
  response& operator=(response&&) = default;
  ~response() {
    if (secret) wipe(body);
  }

  unsigned status = 200;
  std::string type = "application/json";
  std::string body;
  bool secret = false;  ///< the body is wiped after it was sent, and if it never is
  std::vector<std::pair<std::string, std::string>> headers;
  /// Set: the answer is a stream of this hub's events: first `body`, events as text, then those after `after`. The
  /// hub outlives the server.
  event_hub* events = nullptr;
  std::uint64_t after = 0;
  /// Set: the body comes from here, with status 200.
  std::shared_ptr<part_source> parts{};
};

/// An answer, or the problem that is answered in its place. CPNS_TRY and CPNS_CHECK turn an error into a problem.
using outcome = tl::expected<response, problem>;

/// The body of a request on a route that streams. Used by the handler's thread alone.
class body_source {
 public:
  virtual ~body_source() = default;
  /// Waits for the next bytes and returns their number, 0 at the end of the body. peer_closed if the client
  /// ends before that, peer_timeout if it sends nothing for too long, wire_oversized over the bound of the
  /// route.
  virtual result<std::size_t> read(std::span<std::uint8_t> to) = 0;
  /// Length that the client announced.
  [[nodiscard]] virtual std::optional<std::uint64_t> length() const = 0;
};

}  // namespace cpns::api
