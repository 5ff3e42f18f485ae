#include "actors/pn_gw/uplink.hpp"

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <thread>

#include "actors/pn_gw/address_race.hpp"
#include "base/sockets.hpp"
#include "crypto/tls_psk.hpp"
#include "protocol/constants.hpp"

namespace cpns::actors {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using failure = boost::system::error_code;
using tls_stream = asio::ssl::stream<tcp::socket>;

constexpr std::size_t header = 4;
constexpr std::size_t queued_max = 4 * 1024 * 1024;
constexpr std::size_t untaken_max = 1024 * 1024;
// A complete frame always fits, so this buffer, which holds keys, is never reallocated.
constexpr std::size_t input_max = header + protocol::link_message_max + 16 * 1024;
/// Time limit for the TLS close_notify.
constexpr milliseconds farewell_max{500};

/// One attempt and the connection that results. Handlers that run after the end find `closed` set and do
/// nothing.
struct connection {
  connection(connection_number n, config::address where, asio::io_context& io, asio::ssl::context& context)
      : number(n), server(std::move(where)), name(server.text()), stream(io, context), in(input_max) {}
  const connection_number number;
  const config::address server;
  const std::string name;  ///< of the server
  tls_stream stream;
  std::shared_ptr<address_race> race;
  bytes in;
  std::size_t have = 0;
  bool up = false, closed = false, writing = false;
  std::size_t untaken = 0;  ///< bytes of frames that the listener has not confirmed by taken()
  bool reading = false;
  bytes out;
};
using connection_ptr = std::shared_ptr<connection>;

}  // namespace

struct uplink::impl {
  impl(uplink_settings s, crypto::tls_supply c, uplink_listener& l)
      : settings(std::move(s)), contexts(std::move(c)), listener(l), resolver(io), timer(io), deadline(io),
        next_look(io) {}

  uplink_settings settings;
  asio::io_context io{1};
  /// Keeps io.run() going while a connection is paused and has no operation pending.
  asio::executor_work_guard<asio::io_context::executor_type> alive{io.get_executor()};
  crypto::tls_supply contexts;
  uplink_listener& listener;
  tcp::resolver resolver;
  asio::steady_timer timer, deadline, next_look;
  connection_ptr now;
  connection_number numbers = 0;
  std::map<std::string, std::size_t> addresses;  ///< per server: index of the first address to try
  unsigned failures = 0;
  bool stopping = false;
  std::string last_why;
  std::mt19937 dice{std::random_device{}()};
  std::mutex guard;
  connection_number open = 0;  ///< the one that is up, or 0; guarded, like the next two
  bytes queued;
  bool flush_posted = false;
  std::thread thread;

  void look_later() {
    next_look.expires_after(settings.look_every);
    next_look.async_wait([this](const failure& cancelled) {
      if (cancelled || stopping) return;
      settings.look();
      end_if_revoked();
      look_later();
    });
  }

  void end_if_revoked() {
    const auto c = now;
    if (!c || !c->up || c->closed || !settings.revoked) return;
    if (const auto why = settings.revoked(c->stream.native_handle())) end(c, c->name + ": " + *why);
  }

  void begin() {
    if (stopping) return;
    auto tls = contexts();
    if (!tls) {
      // The clock may be corrected at any moment, and a retry costs no network traffic.
      failures = std::min(failures, 3u);
      return try_later(0, {tls.error().message()}, false);
    }
    asio::ssl::context context{tls->release()};
    auto c = now =
        std::make_shared<connection>(++numbers, settings.servers->next(now_anchored()), io, context);
    const auto most = time_to_connect();
    deadline.expires_after(most);
    deadline.async_wait([this, c, most](const failure& cancelled) {
      if (!cancelled && !c->up)
        end(c, c->name + ": no connection within " + std::to_string(most.count()) + " ms");
    });
    resolver.async_resolve(c->server.host, std::to_string(c->server.port),
                           [this, c](const failure& wrong, const tcp::resolver::results_type& found) {
                             if (c->closed) return;
                             if (wrong) return end(c, c->name + ": " + wrong.message());
                             reach(c, found);
                           });
  }

  /// A server that was cut off must not hold the gateway for long while another one may be there.
  [[nodiscard]] milliseconds time_to_connect() const {
    if (!settings.servers->knows_another(now_anchored())) return settings.connect_timeout;
    return std::min(settings.connect_timeout, settings.first_connect_timeout * (1 << rounds()));
  }

  void reach(const connection_ptr& c, const tcp::resolver::results_type& found) {
    std::vector<tcp::endpoint> all;
    for (const auto& entry : found) all.push_back(entry.endpoint());
    auto& first = addresses[c->name];
    first %= std::max<std::size_t>(all.size(), 1);
    c->race = address_race::start(
        io, in_turn(all, first), settings.next_address_after,
        [this, c, n = all.size()](const failure& refused, tcp::socket reached, std::size_t at) {
          if (c->closed) return;
          if (refused) return end(c, c->name + ": " + refused.message());
          addresses[c->name] = (addresses[c->name] + at) % n;
          c->stream.next_layer() = std::move(reached);
          failure ignored;
          c->stream.next_layer().set_option(tcp::no_delay{true}, ignored);
          probe_when_quiet(c->stream.next_layer().native_handle(), settings.probe);
          handshake(c);
        });
  }

  void handshake(const connection_ptr& c) {
    c->stream.async_handshake(asio::ssl::stream_base::client, [this, c](const failure& wrong) {
      if (c->closed) return;
      if (wrong) {
        const bool tls = wrong.category() == asio::error::get_ssl_category();
        return end(c, c->name + ": " +
                          (tls ? crypto::tls_refusal(c->stream.native_handle(),
                                                     static_cast<unsigned long>(wrong.value()))
                               : wrong.message()));
      }
      auto* ssl = c->stream.native_handle();
      auto checked = crypto::check_alpn(ssl);
      if (checked)
        checked = settings.psk_identity.empty() ? crypto::expect_uri(ssl, settings.server_uri)
                                                : crypto::expect_psk(ssl, settings.psk_identity);
      if (!checked) return end(c, c->name + ": " + checked.error().message());
      auto exporter = crypto::tls_exporter(ssl);
      if (!exporter) return end(c, c->name + ": " + exporter.error().message());
      c->up = true;
      settings.servers->reached();
      deadline.cancel();
      {
        std::lock_guard lock{guard};
        queued.clear();
        open = c->number;
      }
      listener.up(
          c->number, std::move(*exporter),
          {c->name, crypto::peer_certificate_of(ssl), crypto::agreed_alpn(ssl) == crypto::tls_alpn_nodes});
      read(c);
    });
  }

  void read(const connection_ptr& c) {
    if (c->reading || c->untaken > untaken_max) return;
    c->reading = true;
    c->stream.async_read_some(asio::buffer(c->in.data() + c->have, c->in.size() - c->have),
                              [this, c](const failure& wrong, std::size_t n) {
                                c->reading = false;
                                if (c->closed) return wipe(c->in.data(), c->in.size());
                                if (wrong) return end_of_reading(c, wrong);
                                c->have += n;
                                if (take(c)) read(c);
                              });
  }

  void end_of_reading(const connection_ptr& c, const failure& wrong) {
    if (wrong == asio::error::eof) return end(c, "the server closed the connection", ending::planned);
    if (wrong == asio::ssl::error::stream_truncated)
      return end(c, "the server dropped the connection without a TLS close");
    // A TLS 1.3 client learns at its first read that its certificate was refused.
    const bool tls = wrong.category() == asio::error::get_ssl_category();
    end(c, tls ? crypto::tls_refusal(c->stream.native_handle(), static_cast<unsigned long>(wrong.value()))
               : "the connection to the server failed: " + wrong.message());
  }

  bool take(const connection_ptr& c) {
    std::vector<secret_bytes> batch;
    std::size_t at = 0;
    while (c->have - at >= header) {
      const auto* p = c->in.data() + at;
      const std::uint32_t size =
          std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | p[3];
      if (size == 0 || size > protocol::link_message_max) {
        end(c, "the server sent a frame of " + std::to_string(size) + " bytes, 1 to " +
                   std::to_string(protocol::link_message_max) + " are allowed");
        return false;
      }
      if (c->have - at - header < size) break;
      batch.emplace_back(byte_view{p + header, size});
      c->untaken += size;
      at += header + size;
    }
    const auto rest = c->have - at;
    std::copy(c->in.begin() + static_cast<std::ptrdiff_t>(at),
              c->in.begin() + static_cast<std::ptrdiff_t>(c->have), c->in.begin());
    if (at != 0) wipe(c->in.data() + rest, c->have - rest);  // answers hold keys
    c->have = rest;
    if (!batch.empty()) {
      failures = 0;
      listener.frames(c->number, std::move(batch));
    }
    return true;
  }

  void flush() {
    const auto c = now;
    {
      std::lock_guard lock{guard};
      flush_posted = false;
      if (!c || c->number != open || c->closed || c->writing || queued.empty()) return;
      c->out.clear();
      c->out.swap(queued);
    }
    c->writing = true;
    asio::async_write(c->stream, asio::buffer(c->out), [this, c](const failure& wrong, std::size_t) {
      c->writing = false;
      if (c->closed) return;
      if (wrong) return end(c, "cannot write to the server: " + wrong.message());
      flush();
    });
  }

  enum class ending { broken, planned, moving };

  void end(const connection_ptr& c, const std::string& why, ending how = ending::broken) {
    if (std::exchange(c->closed, true)) return;
    {
      std::lock_guard lock{guard};
      if (open == c->number) open = 0;
      queued.clear();
    }
    if (c->race) c->race->cancel();
    resolver.cancel();
    deadline.cancel();
    wipe(c->in.data(), c->in.size());
    if (how != ending::broken && c->up && !c->writing) {
      farewell(c);
    } else {
      failure ignored;
      c->stream.next_layer().close(ignored);
    }
    // After a failure the server's next address is tried.
    if (how == ending::broken) ++addresses[c->name];
    how == ending::planned ? settings.servers->ended() : settings.servers->failed();
    if (stopping) return;
    try_later(c->number, {why, how == ending::planned, how == ending::moving}, c->up);
  }

  /// Rounds over all servers since one sent a frame: the pauses grow with each.
  [[nodiscard]] unsigned rounds() const {
    return std::min(failures / static_cast<unsigned>(settings.servers->size()), 10u);
  }

  /// Sends the TLS close_notify, then closes the socket.
  void farewell(const connection_ptr& c) {
    auto limit = std::make_shared<asio::steady_timer>(io, farewell_max);
    const auto close = [c] {
      failure ignored;
      c->stream.next_layer().close(ignored);
    };
    limit->async_wait([close, limit](const failure& cancelled) {
      if (!cancelled) close();
    });
    c->stream.async_shutdown([close, limit](const failure&) {
      limit->cancel();
      close();
    });
  }

  void try_later(connection_number number, const uplink_end& how, bool was_up) {
    if (was_up || how.why != last_why) listener.down(number, how);  // the same failure is reported once
    last_why = was_up ? std::string{} : how.why;
    const auto longest = std::min(settings.reconnect_max, settings.reconnect_min * (1 << rounds()));
    ++failures;
    const bool at_once = how.moving && settings.servers->knows_another(now_anchored());
    timer.expires_after(
        at_once ? milliseconds{0}
                : longest / 2 + milliseconds{dice() % static_cast<unsigned long>(longest.count() / 2 + 1)});
    timer.async_wait([this](const failure& cancelled) {
      if (!cancelled) begin();
    });
  }
};

uplink::uplink(uplink_settings settings, crypto::tls_supply contexts, uplink_listener& listener)
    : impl_(std::make_unique<impl>(std::move(settings), std::move(contexts), listener)) {
  asio::post(impl_->io, [i = impl_.get()] {
    if (i->settings.look) i->look_later();
    i->begin();
  });
  impl_->thread = std::thread{[i = impl_.get()] { i->io.run(); }};
}

uplink::~uplink() {
  asio::post(impl_->io, [i = impl_.get()] {
    i->stopping = true;
    i->alive.reset();
    i->timer.cancel();
    i->next_look.cancel();
    if (i->now) i->end(i->now, "closing", impl::ending::planned);
  });
  impl_->thread.join();
}

void uplink::send(connection_number connection, bytes frame) {
  const auto size = static_cast<std::uint32_t>(frame.size());
  std::lock_guard lock{impl_->guard};
  if (connection == 0 || connection != impl_->open) return;
  if (impl_->queued.size() + frame.size() > queued_max) return;
  for (int shift = 24; shift >= 0; shift -= 8)
    impl_->queued.push_back(static_cast<std::uint8_t>(size >> shift));
  impl_->queued.insert(impl_->queued.end(), frame.begin(), frame.end());
  if (!std::exchange(impl_->flush_posted, true)) asio::post(impl_->io, [i = impl_.get()] { i->flush(); });
}

void uplink::taken(connection_number connection, std::size_t size) {
  asio::post(impl_->io, [i = impl_.get(), connection, size] {
    if (!i->now || i->now->number != connection || i->now->closed) return;
    i->now->untaken -= std::min(size, i->now->untaken);
    i->read(i->now);
  });
}

void uplink::give_up(connection_number connection, std::string why) {
  asio::post(impl_->io, [i = impl_.get(), connection, why = std::move(why)] {
    if (i->now && i->now->number == connection && i->now->up) i->end(i->now, why);
  });
}

void uplink::leave(connection_number connection) {
  asio::post(impl_->io, [i = impl_.get(), connection] {
    if (i->now && i->now->number == connection && i->now->up)
      i->end(i->now, "the server asked its gateways to leave", impl::ending::moving);
  });
}

}  // namespace cpns::actors
