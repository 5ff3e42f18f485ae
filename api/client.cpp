#include "api/client.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
#include <cerrno>
#include <optional>

#include "api/unix_socket.hpp"
#include "base/bytes.hpp"
#include "base/descriptor.hpp"
#include "base/dial.hpp"
#include "crypto/suite.hpp"
#include "crypto/tls_hosts.hpp"

namespace cpns::api {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

/// A connected socket whose reads and writes end after a time. Asio's blocking calls have no timeout.
class timed_stream {
 public:
  explicit timed_stream(descriptor fd) : fd_(std::move(fd)) {}
  milliseconds patience = client::answer_time;

  // Asio's TLS stream wants an executor, for timers that blocking calls do not use.
  using executor_type = asio::io_context::executor_type;
  using lowest_layer_type = timed_stream;
  timed_stream& lowest_layer() { return *this; }
  executor_type get_executor() { return io_->get_executor(); }

  template <class Buffers>
  std::size_t read_some(const Buffers& to, error_code& ec) {
    const asio::mutable_buffer b = *asio::buffer_sequence_begin(to);
    return transfer(
        POLLIN, ec, [&] { return ::recv(fd_.get(), b.data(), b.size(), MSG_DONTWAIT); }, true);
  }
  template <class Buffers>
  std::size_t write_some(const Buffers& from, error_code& ec) {
    for (auto it = asio::buffer_sequence_begin(from); it != asio::buffer_sequence_end(from); ++it) {
      const asio::const_buffer b = *it;
      if (b.size() == 0) continue;
      return transfer(
          POLLOUT, ec, [&] { return ::send(fd_.get(), b.data(), b.size(), MSG_DONTWAIT | MSG_NOSIGNAL); },
          false);
    }
    ec = {};
    return 0;
  }

 private:
  template <class Call>
  std::size_t transfer(short what, error_code& ec, Call call, bool ends) {
    for (;;) {
      const auto n = call();
      if (n > 0 || (n == 0 && !ends)) return ec = {}, static_cast<std::size_t>(n);
      if (n == 0) return ec = asio::error::eof, 0;
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return ec = {errno, boost::system::system_category()}, 0;
      pollfd p{fd_.get(), what, 0};
      if (::poll(&p, 1, static_cast<int>(patience.count())) == 0) return ec = asio::error::timed_out, 0;
    }
  }

  descriptor fd_;
  std::unique_ptr<asio::io_context> io_ = std::make_unique<asio::io_context>(1);
};

/// The connection to a role: plain over a Unix socket, or TLS.
class wire {
 public:
  explicit wire(descriptor fd) : raw_(std::move(fd)) {}

  status secure(crypto::tls_context context, const std::string& host) {
    asio::ssl::context owner{context.release()};
    tls_.emplace(raw_, owner);
    CPNS_CHECK(crypto::name_host(tls_->native_handle(), host));
    raw_.patience = client::connect_time;
    error_code ec;
    tls_->handshake(asio::ssl::stream_base::client, ec);
    raw_.patience = client::answer_time;
    if (ec == asio::error::timed_out) return fail(errc::peer_timeout, "the TLS handshake took too long");
    return ec ? fail(errc::peer_closed, why(ec)) : status{};
  }
  /// A client learns only when it reads that its certificate was refused, and a write may fail before.
  [[nodiscard]] std::string why(error_code ec) {
    if (tls_ && (ec == asio::error::broken_pipe || ec == asio::error::connection_reset)) {
      raw_.patience = farewell_max;
      std::array<char, 1> byte{};
      error_code alert;
      tls_->read_some(asio::buffer(byte), alert);
      if (alert.category() == asio::error::get_ssl_category()) ec = alert;
    }
    if (tls_ && ec.category() == asio::error::get_ssl_category())
      return crypto::tls_refusal(tls_->native_handle(), static_cast<unsigned long>(ec.value()));
    return ec.message();
  }
  void set_patience(milliseconds time) { raw_.patience = time; }
  /// Sends a close_notify and waits for the other one, for a short time.
  void end() {
    if (!tls_) return;
    raw_.patience = farewell_max;
    error_code ignored;
    tls_->shutdown(ignored);
  }

  template <class Buffers>
  std::size_t read_some(const Buffers& to, error_code& ec) {
    return tls_ ? tls_->read_some(to, ec) : raw_.read_some(to, ec);
  }
  template <class Buffers>
  std::size_t write_some(const Buffers& from, error_code& ec) {
    return tls_ ? tls_->write_some(from, ec) : raw_.write_some(from, ec);
  }
  // Beast asks for them, and calls only those with an error code.
  template <class Buffers>
  std::size_t read_some(const Buffers& to) {
    error_code ec;
    const auto n = read_some(to, ec);
    if (ec) throw boost::system::system_error(ec);
    return n;
  }
  template <class Buffers>
  std::size_t write_some(const Buffers& from) {
    error_code ec;
    const auto n = write_some(from, ec);
    if (ec) throw boost::system::system_error(ec);
    return n;
  }

 private:
  static constexpr milliseconds farewell_max{300};
  timed_stream raw_;
  std::optional<asio::ssl::stream<timed_stream&>> tls_;
};

/// Takes the complete events out of `text`. False: the reader wants no more.
bool take_events(std::string& text, const client::event_reader& take) {
  for (auto end = text.find("\n\n"); end != std::string::npos; end = text.find("\n\n")) {
    std::string id, name, data;
    std::string_view rest{text.data(), end};
    while (!rest.empty()) {
      const auto line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(line.size() + 1, rest.size()));
      if (line.starts_with("id: ")) id = line.substr(4);
      if (line.starts_with("event: ")) name = line.substr(7);
      if (line.starts_with("data: ")) data = line.substr(6);
    }
    text.erase(0, end + 2);
    if (!name.empty() && !take(id, name, data)) return false;
  }
  return true;
}

}  // namespace

struct client::impl {
  impl(std::string where, std::string host_header, descriptor fd)
      : at(std::move(where)), host(std::move(host_header)), stream(std::move(fd)) {}
  impl(const impl&) = delete;
  impl& operator=(const impl&) = delete;
  ~impl() { stream.end(); }
  const std::string at;    ///< the path of the socket, or host:port
  const std::string host;  ///< the header Host
  wire stream;
  boost::beast::flat_buffer buffer;

  error failed(const error_code& ec) {
    if (ec == asio::error::timed_out)
      return {errc::peer_timeout, "the role at " + at + " did not answer in time"};
    return {errc::peer_closed, "the role at " + at + " closed the connection: " + stream.why(ec)};
  }
  status send(verb v, const std::string& target, const sent_body& body, const std::string& last_event);
  status send_parts(const sent_body& body);
  result<reply> receive();
};

client::client(std::unique_ptr<impl> i) : impl_(std::move(i)) {}
client::client(client&&) noexcept = default;
client& client::operator=(client&&) noexcept = default;
client::~client() = default;

result<client> client::connect(const std::string& path, const std::string& access_hint) {
  CPNS_TRY(auto fd, connect_socket(path, access_hint, connecting::waits));
  return client{std::make_unique<impl>(path, "localhost", std::move(fd))};
}

result<client> client::connect(const config::address& to, const crypto::tls_files& files) {
  CPNS_TRY(auto context, crypto::make_api_client_tls(files));
  auto met = reach(to.host, to.port, std::chrono::steady_clock::now() + connect_time);
  if (!met)
    return fail(met.error().code, "no role listens at " + to.text() + " (" + met.error().detail + ")");
  auto made = std::make_unique<impl>(to.text(), to.text(), std::move(met->socket));
  if (const auto done = made->stream.secure(std::move(context), to.host); !done)
    return fail(done.error().code, to.text() + ": " + done.error().detail);
  return client{std::move(made)};
}

status client::impl::send(verb v, const std::string& target, const sent_body& body,
                          const std::string& last_event) {
  const auto name = name_of(v);
  std::string head = std::string{name} + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n";
  if (changes(v)) head += "Cpns-Request-Id: " + to_hex(crypto::system_entropy().draw<8>()) + "\r\n";
  if (!last_event.empty()) head += "Last-Event-ID: " + last_event + "\r\n";
  if (body.source)
    head += "Content-Type: " + body.type + "\r\nTransfer-Encoding: chunked\r\n";
  else if (!body.content.empty())
    head +=
        "Content-Type: " + body.type + "\r\nContent-Length: " + std::to_string(body.content.size()) + "\r\n";
  else if (changes(v))
    head += "Content-Length: 0\r\n";
  head += "\r\n";
  error_code ec;
  asio::write(stream, asio::buffer(head), ec);
  if (!ec && !body.content.empty()) {
    const auto view = body.content.expose();
    asio::write(stream, asio::buffer(view.data(), view.size()), ec);
  }
  if (ec) return fail(failed(ec));
  return body.source ? send_parts(body) : status{};
}

/// A role that refuses early closes its side: the rest is not sent, and its answer is read.
status client::impl::send_parts(const sent_body& body) {
  bytes part(64 * 1024);
  for (;;) {
    auto got = body.source(part);
    if (!got) {
      wipe(part);
      return fail(got.error());
    }
    error_code ec;
    if (*got == 0) {
      asio::write(stream, http::make_chunk_last(), ec);
      break;
    }
    asio::write(stream, http::make_chunk(asio::buffer(part.data(), *got)), ec);
    if (ec == asio::error::timed_out) {
      wipe(part);
      return fail(failed(ec));
    }
    if (ec) break;
  }
  wipe(part);
  return {};
}

result<reply> client::impl::receive() {
  http::response_parser<http::string_body> parser;
  parser.body_limit(64 * 1024 * 1024);
  error_code ec;
  do {
    http::read_header(stream, buffer, parser, ec);
    if (ec) return fail(failed(ec));
  } while (parser.get().result() == http::status::continue_);
  http::read(stream, buffer, parser, ec);
  if (ec) return fail(failed(ec));
  auto m = parser.release();
  return reply{m.result_int(), std::string{m[http::field::content_type]}, std::move(m.body())};
}

result<reply> client::ask(verb v, const std::string& target, const sent_body& body) {
  CPNS_CHECK(impl_->send(v, target, body, {}));
  return impl_->receive();
}

result<reply> client::events(const std::string& target, const std::string& last, const event_reader& take) {
  auto& m = *impl_;
  CPNS_CHECK(m.send(verb::get, target, {}, last));
  http::response_parser<http::buffer_body> parser;
  parser.body_limit(boost::none);
  error_code ec;
  http::read_header(m.stream, m.buffer, parser, ec);
  if (ec) return fail(m.failed(ec));
  reply out{parser.get().result_int(), std::string{parser.get()[http::field::content_type]}, {}};
  const bool is_stream = out.type == "text/event-stream";
  m.stream.set_patience(seconds{40});  // over two heartbeats
  std::string text;
  std::array<char, 16 * 1024> part{};
  while (!parser.is_done()) {
    parser.get().body() = {part.data(), part.size(), true};
    http::read_some(m.stream, m.buffer, parser, ec);
    text.append(part.data(), part.size() - parser.get().body().size);
    if (is_stream && !take_events(text, take)) break;
    if (ec == http::error::need_buffer) ec = {};
    if (ec == http::error::end_of_stream || ec == asio::error::eof) break;
    if (ec) return fail(m.failed(ec));
  }
  if (!is_stream) out.body = std::move(text);
  return out;
}

problem problem_of(const reply& r) {
  error_code ec;
  const auto v = boost::json::parse(r.body, ec);
  const auto* o = ec ? nullptr : v.if_object();
  const auto text = [o](const char* key) -> std::string {
    const auto* found = o == nullptr ? nullptr : o->if_contains(key);
    return found != nullptr && found->is_string()
               ? std::string{found->get_string().data(), found->get_string().size()}
               : std::string{};
  };
  auto detail = text("detail");
  if (detail.empty()) detail = "the role answered with status " + std::to_string(r.status);
  return {r.status, text("code"), std::move(detail), text("field")};
}

}  // namespace cpns::api
