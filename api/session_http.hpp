#pragma once
// The types of the HTTP library that a connection uses. Private to api/.

#include <boost/beast/http.hpp>
#include <cstdint>
#include <memory>
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

inline std::string_view text_of(boost::beast::string_view s) { return {s.data(), s.size()}; }

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

inline unix_stream& socket_of(unix_stream& s) { return s; }
inline tcp_stream& socket_of(tcp_stream& s) { return s; }
inline tcp_stream& socket_of(tls_stream& s) { return s.next_layer(); }

}  // namespace cpns::api::detail
