#include "api/body_problems.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/beast/http/error.hpp>

namespace cpns::api::detail {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

constexpr std::uint32_t retry_after_too_many = 1;  // seconds

}  // namespace

problem body_too_large(const route& to) {
  return {413, "body-too-large",
          "the body of this request is limited to " + std::to_string(to.body_max) + " bytes"};
}

problem too_many_at_once(const route& to) {
  problem out{503, "too-many-at-once",
              "nothing was done: the role works on " + std::to_string(to.at_once) +
                  " requests of this kind at a time, and has as many; try again later"};
  out.retry_after = retry_after_too_many;
  return out;
}

problem broken_body(const boost::system::error_code& why) {
  const bool cut = why == http::error::partial_message || why == http::error::end_of_stream ||
                   why == asio::error::eof || why == asio::error::connection_reset ||
                   why == asio::ssl::error::stream_truncated;
  if (cut) return {400, "peer-closed", "the body ended early"};
  return {400, "bad-request", "the body is not a body of HTTP/1.1: " + why.message()};
}

std::string slow_body_text(const http_limits& most) {
  return "the body came too slowly: each " + std::to_string(most.part_size) + " bytes of it have " +
         std::to_string(most.part_time.count() / 1000) + " s";
}

}  // namespace cpns::api::detail
