#include "api/open_answer.hpp"

#include <sys/socket.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "api/unix_socket.hpp"
#include "base/bytes.hpp"
#include "base/descriptor.hpp"
#include "base/secret.hpp"
#include "crypto/suite.hpp"

namespace cpns::api {
namespace {

constexpr std::size_t reads_per_turn = 16;

}  // namespace

struct open_answer::impl {
  impl(std::string where, descriptor fd) : at(std::move(where)), socket(std::move(fd)) {
    parser.body_limit(boost::none);
  }
  impl(const impl&) = delete;
  impl& operator=(const impl&) = delete;
  ~impl() {
    wipe(input.data(), input.size());
    wipe(body.data(), body.size());
  }
  const std::string at;
  const descriptor socket;
  boost::beast::http::response_parser<boost::beast::http::buffer_body> parser;
  std::array<char, 16 * 1024> input{}, body{};
  std::size_t held = 0;  ///< bytes of `input` that the parser did not take yet

  [[nodiscard]] tl::unexpected<error> ended(const std::string& why) const {
    return fail(errc::peer_closed, "the role at " + at + " closed the connection: " + why);
  }
  /// Gives the parser what is in `input`.
  status parse(const taker& take);
};

open_answer::open_answer(std::unique_ptr<impl> i) : impl_(std::move(i)) {}
open_answer::open_answer(open_answer&&) noexcept = default;
open_answer& open_answer::operator=(open_answer&&) noexcept = default;
open_answer::~open_answer() = default;

result<open_answer> open_answer::ask(const std::string& path, const std::string& access_hint, verb v,
                                     const std::string& target, std::string_view body) {
  CPNS_TRY(auto socket, connect_socket(path, access_hint, connecting::at_once));
  std::string text = std::string{name_of(v)} + " " + target + " HTTP/1.1\r\nHost: localhost\r\n";
  if (changes(v)) text += "Cpns-Request-Id: " + to_hex(crypto::system_entropy().draw<8>()) + "\r\n";
  if (!body.empty())
    text += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  text.append("\r\n").append(body);
  auto made = std::make_unique<impl>(path, std::move(socket));
  const auto sent = ::send(made->socket.get(), text.data(), text.size(), MSG_NOSIGNAL);
  if (sent < 0) return made->ended(std::strerror(errno));
  if (static_cast<std::size_t>(sent) != text.size()) return made->ended("it took a part of the request");
  return open_answer{std::move(made)};
}

status open_answer::impl::parse(const taker& take) {
  namespace http = boost::beast::http;
  std::size_t begin = 0;
  while (begin < held && !parser.is_done()) {
    parser.get().body() = {body.data(), body.size(), true};
    boost::system::error_code ec;
    begin += parser.put(boost::asio::buffer(input.data() + begin, held - begin), ec);
    const auto got = parser.is_header_done() ? body.size() - parser.get().body().size : 0;
    if (got > 0) take({body.data(), got});
    wipe(body.data(), got);
    if (ec == http::error::need_more) break;
    if (ec && ec != http::error::need_buffer) return ended(ec.message());
  }
  std::memmove(input.data(), input.data() + begin, held - begin);
  held -= begin;
  wipe(input.data() + held, begin);
  return {};
}

status open_answer::read(const taker& take) {
  auto& m = *impl_;
  for (std::size_t i = 0; i < reads_per_turn && !complete(); ++i) {
    if (m.held == m.input.size()) return m.ended("its answer is not HTTP");
    const auto n = ::recv(m.socket.get(), m.input.data() + m.held, m.input.size() - m.held, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return {};
    if (n < 0) return m.ended(std::strerror(errno));
    if (n == 0) return m.ended("the answer is not complete");
    m.held += static_cast<std::size_t>(n);
    CPNS_CHECK(m.parse(take));
  }
  return {};
}

int open_answer::fd() const { return impl_->socket.get(); }
unsigned open_answer::http_status() const {
  return impl_->parser.is_header_done() ? impl_->parser.get().result_int() : 0;
}
std::string open_answer::type() const {
  const auto& m = impl_->parser;
  return m.is_header_done() ? std::string{m.get()[boost::beast::http::field::content_type]} : std::string{};
}
bool open_answer::complete() const { return impl_->parser.is_done(); }

}  // namespace cpns::api
