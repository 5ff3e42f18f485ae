#include "actors/pn_gw/uplink.hpp"

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <mutex>
#include <optional>
#include <random>
#include <thread>

#include "protocol/constants.hpp"

namespace cpns::actors {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using failure = boost::system::error_code;
using tls_stream = asio::ssl::stream<tcp::socket>;

constexpr std::size_t header = 4;
constexpr std::size_t queued_max = 4 * 1024 * 1024;
// A whole frame always fits, so this buffer, which holds keys, is never moved to another place.
constexpr std::size_t input_max = header + protocol::link_message_max + 16 * 1024;

/// One attempt and the connection that it becomes. Late handlers find it closed and do nothing.
struct connection {
  connection(asio::io_context& io, asio::ssl::context& context) : stream(io, context), in(input_max) {}
  tls_stream stream;
  bytes in;
  std::size_t have = 0;
  bool up = false, closed = false, writing = false;
  bytes out;
};
using connection_ptr = std::shared_ptr<connection>;

}  // namespace

struct uplink::impl {
  impl(uplink_settings s, crypto::tls_supply c, uplink_listener& l)
      : settings(std::move(s)), contexts(std::move(c)), listener(l), resolver(io), timer(io), deadline(io) {}

  uplink_settings settings;
  asio::io_context io{1};
  crypto::tls_supply contexts;
  uplink_listener& listener;
  tcp::resolver resolver;
  asio::steady_timer timer, deadline;
  connection_ptr now;
  std::size_t next_server = 0;
  unsigned failures = 0;
  bool stopping = false;
  std::string last_why;
  std::mt19937 dice{std::random_device{}()};
  std::mutex guard;
  bytes queued;  // with guard
  bool flush_posted = false;
  std::thread thread;

  void begin() {
    if (stopping) return;
    auto tls = contexts();
    if (!tls) {
      failures = std::min(failures, 3u);  // a clock may be set at any moment, and asking costs no network
      return try_later(tls.error().message(), false);
    }
    asio::ssl::context context{tls->release()};
    const auto server = settings.servers[next_server++ % settings.servers.size()];
    auto c = now = std::make_shared<connection>(io, context);
    deadline.expires_after(settings.connect_timeout);
    deadline.async_wait([this, c](const failure& cancelled) {
      if (!cancelled && !c->up)
        end(c, "no connection within " + std::to_string(settings.connect_timeout.count()) + " ms");
    });
    resolver.async_resolve(server.host, std::to_string(server.port),
                           [this, c, server](const failure& wrong, const tcp::resolver::results_type& found) {
                             if (c->closed) return;
                             if (wrong) return end(c, server.text() + ": " + wrong.message());
                             asio::async_connect(
                                 c->stream.next_layer(), found,
                                 [this, c, server](const failure& refused, const tcp::endpoint&) {
                                   if (c->closed) return;
                                   if (refused) return end(c, server.text() + ": " + refused.message());
                                   failure ignored;
                                   c->stream.next_layer().set_option(tcp::no_delay{true}, ignored);
                                   handshake(c, server);
                                 });
                           });
  }

  void handshake(const connection_ptr& c, const config::address& server) {
    c->stream.async_handshake(asio::ssl::stream_base::client, [this, c, server](const failure& wrong) {
      if (c->closed) return;
      if (wrong) {
        const bool tls = wrong.category() == asio::error::get_ssl_category();
        return end(c, server.text() + ": " +
                          (tls ? crypto::tls_refusal(c->stream.native_handle(),
                                                     static_cast<unsigned long>(wrong.value()))
                               : wrong.message()));
      }
      auto* ssl = c->stream.native_handle();
      auto checked = crypto::check_alpn(ssl);
      if (checked) checked = crypto::expect_uri(ssl, settings.server_uri);
      if (!checked) return end(c, server.text() + ": " + checked.error().message());
      auto exporter = crypto::tls_exporter(ssl);
      if (!exporter) return end(c, server.text() + ": " + exporter.error().message());
      c->up = true;
      deadline.cancel();
      {
        std::lock_guard lock{guard};
        queued.clear();
      }
      listener.up(std::move(*exporter), server.text());
      read(c);
    });
  }

  void read(const connection_ptr& c) {
    c->stream.async_read_some(asio::buffer(c->in.data() + c->have, c->in.size() - c->have),
                              [this, c](const failure& wrong, std::size_t n) {
                                if (c->closed) return;
                                if (wrong) {
                                  // A TLS 1.3 client learns at its first read that its certificate was
                                  // refused.
                                  const bool tls = wrong.category() == asio::error::get_ssl_category();
                                  return end(
                                      c, tls ? crypto::tls_refusal(c->stream.native_handle(),
                                                                   static_cast<unsigned long>(wrong.value()))
                                             : "the server closed the connection: " + wrong.message());
                                }
                                c->have += n;
                                if (take(c)) read(c);
                              });
  }

  bool take(const connection_ptr& c) {
    std::vector<secret_bytes> batch;
    std::size_t at = 0;
    while (c->have - at >= header) {
      const auto* p = c->in.data() + at;
      const std::uint32_t size =
          std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | p[3];
      if (size == 0 || size > protocol::link_message_max) {
        end(c, "the server sent a frame of " + std::to_string(size) + " bytes");
        return false;
      }
      if (c->have - at - header < size) break;
      batch.emplace_back(byte_view{p + header, size});
      at += header + size;
    }
    const auto rest = c->have - at;
    std::copy(c->in.begin() + static_cast<std::ptrdiff_t>(at),
              c->in.begin() + static_cast<std::ptrdiff_t>(c->have), c->in.begin());
    if (at != 0) wipe(c->in.data() + rest, c->have - rest);  // answers hold keys
    c->have = rest;
    if (!batch.empty()) {
      failures = 0;
      listener.frames(std::move(batch));
    }
    return true;
  }

  void flush() {
    const auto c = now;
    {
      std::lock_guard lock{guard};
      flush_posted = false;
      if (!c || !c->up || c->closed || c->writing || queued.empty()) return;
      c->out.clear();
      c->out.swap(queued);
    }
    c->writing = true;
    asio::async_write(c->stream, asio::buffer(c->out), [this, c](const failure& wrong, std::size_t) {
      c->writing = false;
      if (c->closed) return;
      if (wrong) return end(c, "writing to the server: " + wrong.message());
      flush();
    });
  }

  void end(const connection_ptr& c, const std::string& why) {
    if (std::exchange(c->closed, true)) return;
    const bool was_up = c->up;
    failure ignored;
    c->stream.next_layer().close(ignored);
    resolver.cancel();
    deadline.cancel();
    wipe(c->in.data(), c->in.size());
    if (!stopping) try_later(why, was_up);
  }

  void try_later(const std::string& why, bool was_up) {
    if (was_up || why != last_why) listener.down(why);  // the same refusal again and again is said once
    last_why = why;
    const auto longest =
        std::min(settings.reconnect_max, settings.reconnect_min * (1 << std::min(failures++, 10u)));
    timer.expires_after(longest / 2 +
                        milliseconds{dice() % static_cast<unsigned long>(longest.count() / 2 + 1)});
    timer.async_wait([this](const failure& cancelled) {
      if (!cancelled) begin();
    });
  }
};

uplink::uplink(uplink_settings settings, crypto::tls_supply contexts, uplink_listener& listener)
    : impl_(std::make_unique<impl>(std::move(settings), std::move(contexts), listener)) {
  asio::post(impl_->io, [i = impl_.get()] { i->begin(); });
  impl_->thread = std::thread{[i = impl_.get()] { i->io.run(); }};
}

uplink::~uplink() {
  asio::post(impl_->io, [i = impl_.get()] {
    i->stopping = true;
    i->timer.cancel();
    if (i->now) i->end(i->now, "closing");
  });
  impl_->thread.join();
}

void uplink::send(bytes frame) {
  const auto size = static_cast<std::uint32_t>(frame.size());
  std::lock_guard lock{impl_->guard};
  if (impl_->queued.size() + frame.size() > queued_max) return;
  for (int shift = 24; shift >= 0; shift -= 8)
    impl_->queued.push_back(static_cast<std::uint8_t>(size >> shift));
  impl_->queued.insert(impl_->queued.end(), frame.begin(), frame.end());
  if (!std::exchange(impl_->flush_posted, true)) asio::post(impl_->io, [i = impl_.get()] { i->flush(); });
}

}  // namespace cpns::actors
