#pragma once
// Requests as Boost.Beast reads them. Private to api/.

#include <boost/beast/http.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "api/dispatch.hpp"
#include "base/secret.hpp"

namespace cpns::api::detail {

/// Wipes what it frees: bodies hold passwords and Temporary Keys.
template <class T>
struct wiping_allocator {
  using value_type = T;
  wiping_allocator() = default;
  template <class U>
  wiping_allocator(const wiping_allocator<U>&) {}
  T* allocate(std::size_t n) { return std::allocator<T>{}.allocate(n); }
  void deallocate(T* p, std::size_t n) {
    wipe(p, n * sizeof(T));
    std::allocator<T>{}.deallocate(p, n);
  }
  friend bool operator==(const wiping_allocator&, const wiping_allocator&) { return true; }
};

using whole_body = boost::beast::http::vector_body<std::uint8_t, wiping_allocator<std::uint8_t>>;
using head_parser = boost::beast::http::request_parser<boost::beast::http::empty_body>;
using whole_parser = boost::beast::http::request_parser<whole_body>;
using part_parser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;

using text_answer = boost::beast::http::response<boost::beast::http::string_body>;

/// Wipes the body after the answer was sent, if it is `secret`.
inline std::shared_ptr<text_answer> new_answer(bool secret) {
  return {new text_answer, [secret](text_answer* sent) {
            if (secret) wipe(sent->body());
            delete sent;
          }};
}

constexpr unsigned http_1_1 = 11;  ///< as Boost.Beast counts versions

inline std::string_view text_of(boost::beast::string_view s) { return {s.data(), s.size()}; }

inline unix_stream& socket_of(unix_stream& s) { return s; }
inline tcp_stream& socket_of(tcp_stream& s) { return s; }
inline tcp_stream& socket_of(tls_stream& s) { return s.next_layer(); }

/// Valid as long as `f`.
template <class Fields>
header_view view_of(const Fields& f) {
  namespace http = boost::beast::http;
  const auto get = [&f](auto name) {
    const auto it = f.find(name);
    return it == f.end() ? std::string_view{} : text_of(it->value());
  };
  return {text_of(f.method_string()), text_of(f.target()),   get(http::field::host),
          get(http::field::origin),   get("Sec-Fetch-Site"), get(http::field::content_type),
          get("Cpns-Request-Id"),     get("Last-Event-ID")};
}

/// A header that two programs could understand differently, or a coding that the API does not undo: a proxy in front of
/// the role could be made to see another request than the role.
template <class Fields>
std::optional<problem> doubtful(const Fields& f, unsigned version) {
  namespace http = boost::beast::http;
  if (f.count(http::field::host) > 1)
    return problem{400, "bad-request", "the request has the header Host twice", "Host"};
  if (version >= http_1_1 && f.count(http::field::host) == 0)
    return problem{400, "bad-request",
                   "a request of HTTP/1.1 has the header Host (RFC 9112), this one does not", "Host"};
  const auto transfers = f.count(http::field::transfer_encoding);
  if (transfers > 0 && (transfers > 1 || f.count(http::field::content_length) > 0 ||
                        !boost::beast::iequals(f[http::field::transfer_encoding], "chunked")))
    return problem{400, "bad-request",
                   "a body comes either with Content-Length, or with 'Transfer-Encoding: chunked'",
                   "Transfer-Encoding"};
  const auto coding = f.find(http::field::content_encoding);
  if (coding != f.end() && !boost::beast::iequals(coding->value(), "identity"))
    return problem{415, "wrong-content-type", "a compressed body is not read; send it as it is",
                   "Content-Encoding"};
  return std::nullopt;
}

}  // namespace cpns::api::detail
