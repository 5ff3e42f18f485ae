#pragma once
// The client of a role's HTTP API, for the commands of cpns.

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "api/http.hpp"
#include "base/clock.hpp"
#include "config/schema.hpp"
#include "crypto/tls.hpp"

namespace cpns::api {

/// What a request sends besides its verb and path.
struct sent_body {
  std::string type = "application/json";
  secret_bytes content{};
  /// Set: the body is streamed instead; called until it returns 0. Its length need not be known.
  std::function<result<std::size_t>(std::span<std::uint8_t>)> source{};
};

struct reply {
  unsigned status = 0;
  std::string type;
  std::string body;
  [[nodiscard]] bool good() const { return status >= 200 && status < 300; }
};

/// One connection, kept alive between requests. Blocks. Not thread-safe.
class client {
 public:
  static constexpr milliseconds answer_time = seconds{60};
  static constexpr milliseconds connect_time = seconds{10};  ///< also of the TLS handshake

  /// peer_closed if no role listens at the Unix socket `path`, config_range if the path is too long, config_file if
  /// the socket cannot be used (no rights). `access_hint` ends the sentence of an error for want of rights.
  static result<client>
  connect(const std::string& path,
          const std::string& access_hint = "the role gives rights to groups, see api.groups");
  /// Over TLS, to `api.listen` of a role: its certificate must come from `files.ca` and name `to.host`. Errors of
  /// crypto::make_api_client_tls; config_range if the name does not resolve; peer_closed with the reason if nobody listens
  /// there, or a side refuses the certificate of the other; peer_timeout.
  static result<client> connect(const config::address& to, const crypto::tls_files& files);
  client(client&&) noexcept;
  client& operator=(client&&) noexcept;
  ~client();

  /// Sends a request and waits for its answer. A change gets a request id that is drawn. peer_closed, peer_timeout,
  /// or the error of `body.source`.
  result<reply> ask(verb v, const std::string& target, const sent_body& body = {});
  /// Reads server-sent events until `take` returns false or the role ends the stream. `last`: Last-Event-ID, or
  /// empty. An answer that is not a stream is returned.
  using event_reader = std::function<bool(std::string_view id, std::string_view name, std::string_view data)>;
  result<reply> events(const std::string& target, const std::string& last, const event_reader& take);

 private:
  struct impl;
  explicit client(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

/// The problem that a reply describes; its detail is made up if it holds none.
problem problem_of(const reply& r);

}  // namespace cpns::api
