#include "tests/unit/server/gateway_end.hpp"

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include "protocol/node_codec.hpp"

namespace cpns::server_tests {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
constexpr seconds timeout{10};

}  // namespace

template <class Start>
error_code gateway_end::run(Start start) {
  error_code outcome = asio::error::timed_out;
  bool done = false;
  start([&outcome, &done](const error_code& ec, auto&&...) {
    outcome = ec;
    done = true;
  });
  io_.restart();
  io_.run_for(timeout);
  if (!done) {
    error_code ignored;
    stream_.next_layer().close(ignored);
    io_.restart();
    io_.run();
    outcome = asio::error::timed_out;
  }
  return outcome;
}

gateway_end::gateway_end(std::uint16_t port, crypto::tls_context context)
    : tls_(context.release()), stream_(io_, tls_) {
  error_code ec;
  stream_.next_layer().connect({asio::ip::address_v4::loopback(), port}, ec);
  if (!ec) ec = run([this](auto done) { stream_.async_handshake(asio::ssl::stream_base::client, done); });
  if (ec) error_ = ec.message();
}

bool gateway_end::send_raw(byte_view b) {
  return !run([this, b](auto done) { asio::async_write(stream_, asio::buffer(b.data(), b.size()), done); });
}

bool gateway_end::send_frame(byte_view body) {
  bytes out;
  for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<std::uint8_t>(body.size() >> shift));
  out.insert(out.end(), body.begin(), body.end());
  return send_raw(out);
}

bool gateway_end::read_exactly(std::span<std::uint8_t> out) {
  return !run(
      [this, out](auto done) { asio::async_read(stream_, asio::buffer(out.data(), out.size()), done); });
}

std::optional<bytes> gateway_end::read_frame() {
  byte_array<4> head{};
  if (!read_exactly(head)) return std::nullopt;
  bytes body(std::size_t{head[0]} << 24 | std::size_t{head[1]} << 16 | std::size_t{head[2]} << 8 | head[3]);
  if (!read_exactly(body)) return std::nullopt;
  return body;
}

bool gateway_end::wait_closed() {
  for (;;) {
    byte_array<1> one{};
    const auto ec = run([this, &one](auto done) { asio::async_read(stream_, asio::buffer(one), done); });
    last_ = ec;
    if (ec) return ec != asio::error::timed_out;
  }
}

std::optional<protocol::link_answer> gateway_end::receive() {
  auto frame = read_frame();
  // A server asks by itself when it learns of others; this gateway does not answer it.
  while (frame && protocol::begins_node_request(*frame)) frame = read_frame();
  if (!frame) return std::nullopt;
  auto a = protocol::decode_link_answer(*frame);
  EXPECT_TRUE(a.has_value()) << a.error().message();
  return a ? std::optional{std::move(*a)} : std::nullopt;
}

std::optional<protocol::link_answer> gateway_end::ask(const protocol::link_request& r) {
  if (!send(r)) return std::nullopt;
  return receive();
}

}  // namespace cpns::server_tests
