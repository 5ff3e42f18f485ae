#include "api/tls_door.hpp"

#include <algorithm>
#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <list>
#include <mutex>
#include <utility>

#include "api/accept.hpp"
#include "base/line_budget.hpp"
#include "base/log.hpp"
#include "base/sockets.hpp"
#include "crypto/tls_hosts.hpp"

namespace cpns::api::detail {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

/// Between attempts to bind an address that does not exist yet.
constexpr seconds bind_pause{2};
constexpr seconds tick_period{1};
/// A connection that has been open for too long is found by this.
constexpr unsigned ticks_per_judgement = 60;
/// For the answer to a client that has no place, and its TLS close.
constexpr milliseconds turn_away_max{1000};
/// A connection that receives nothing for so long is probed.
constexpr seconds quiet_max{30};
constexpr std::uint16_t https_port = 443;

constexpr std::uint32_t lines_per_client = 20;
constexpr seconds line_period{10};
/// Refusals that wait for the audit trail.
constexpr std::size_t unrecorded_max = 64;

handshake_end end_for(crypto::handshake_fault fault) {
  switch (fault) {
  case crypto::handshake_fault::psk:  // never asked for here
  case crypto::handshake_fault::protocol: return handshake_end::protocol;
  case crypto::handshake_fault::certificate: return handshake_end::certificate;
  case crypto::handshake_fault::revoked: return handshake_end::revoked;
  case crypto::handshake_fault::closed: break;
  }
  return handshake_end::closed;
}

}  // namespace

class handshake;

struct tls_door::impl {
  impl(asio::io_context& i, shared_state& s, const config::api_config& c, tls_door_hooks h)
      : io(i), shared(s), wanted(*c.listen), with(std::move(h)) {}

  asio::io_context& io;
  shared_state& shared;
  const config::address wanted;
  const tls_door_hooks with;
  std::shared_ptr<crypto::tls_source> source;
  tcp::acceptor acceptor{io};
  tcp::resolver lookups{io};
  asio::steady_timer pause{io}, ticker{io};
  seldom no_address, handshakes_full;
  line_budget lines{lines_per_client, line_period};
  std::list<std::shared_ptr<handshake>> pending;  ///< the oldest first
  std::uint64_t crl_changes = 0;
  unsigned ticks = 0;
  bool closed = false;
  std::atomic<std::uint16_t> bound_port = 0;
  std::atomic<std::size_t> unrecorded = 0, in_handshake = 0;

  [[nodiscard]] const std::string& component() const { return shared.parts.component; }

  result<bool> bind();
  result<bool> bind_to(const tcp::resolver::results_type& found, error_code ec);
  bool wait_for_address(const std::string& why);
  /// Accepts, or tries to bind again after bind_pause.
  void begin();
  void try_again();
  void accepted(tcp_stream s);
  void forget(const handshake& h);
  void tick_later();
  /// Logs and records a client that is refused, at a bounded rate.
  void refuse(const peer& who, const problem& why);
  [[nodiscard]] std::vector<std::string> hosts_of(tls_stream& s) const;
};

/// One connection until its client is known.
class handshake final : public std::enable_shared_from_this<handshake> {
 public:
  handshake(tls_door::impl& d, tcp_stream s, asio::ssl::context& tls)
      : door_(d), stream_(std::move(s), tls), timer_(d.io) {
    error_code ec;
    const auto at = socket().remote_endpoint(ec);
    who_.local = false;
    who_.address = ec ? std::string{"unknown"} : address_text(at);
  }

  void start() {
    error_code ignored;
    socket().set_option(tcp::no_delay{true}, ignored);
    probe_when_quiet(socket().native_handle(), quiet_max);
    expect_within(door_.shared.parts.limits.handshake_time);
    socket().async_wait(tcp_stream::wait_read,
                        [self = shared_from_this()](const error_code& ec) { self->on_first_byte(ec); });
  }
  /// Closes at once.
  void end() {
    if (std::exchange(over_, true)) return;
    const auto self = shared_from_this();
    door_.forget(*this);
    timer_.cancel();
    error_code ignored;
    socket().shutdown(asio::socket_base::shutdown_both, ignored);
    socket().close(ignored);
  }
  /// The same, for a newer handshake.
  void give_way() {
    if (heard_ && !leaving_ && !over_) door_.shared.count_handshake(handshake_end::displaced);
    end();
  }

 private:
  tcp_stream& socket() { return stream_.next_layer(); }

  void expect_within(milliseconds time) {
    timer_.expires_after(time);
    timer_.async_wait([weak = weak_from_this()](const error_code& ec) {
      if (const auto self = weak.lock(); self && !ec) self->on_late();
    });
  }
  void on_late() {
    if (over_) return;
    if (!heard_ || leaving_) return end();
    refuse(handshake_end::timeout, "the handshake took too long");
  }

  /// A health check that only opens the port is not a client and not a fault.
  void on_first_byte(const error_code& ec) {
    if (over_) return;
    error_code unknown;
    if (ec || socket().available(unknown) == 0 || unknown) return end();
    heard_ = true;
    stream_.async_handshake(
        asio::ssl::stream_base::server,
        [self = shared_from_this()](const error_code& wrong) { self->on_handshake(wrong); });
  }

  void on_handshake(const error_code& ec) {
    if (over_) return;
    if (!ec) return identify();
    const bool tls = ec.category() == asio::error::get_ssl_category();
    const auto kind =
        tls ? end_for(crypto::fault_of(stream_.native_handle(), static_cast<unsigned long>(ec.value())))
            : handshake_end::closed;
    refuse(kind, tls ? crypto::tls_refusal(stream_.native_handle(), static_cast<unsigned long>(ec.value()))
                 : ec == asio::error::eof ? std::string{"the peer closed the connection during the handshake"}
                                          : ec.message());
  }

  void identify() {
    auto uri = crypto::peer_uri(stream_.native_handle());
    if (!uri) return refuse(handshake_end::identity, uri.error().detail);
    who_.uri = std::move(*uri);
    // The CRLs may have been read again while the handshake ran with the former ones.
    if (const auto why = door_.source->revoked(stream_.native_handle()))
      return refuse(handshake_end::revoked, *why);
    door_.shared.count_handshake(handshake_end::accepted);
    who_.level = door_.shared.rules()->level_of(who_.uri);
    auto key = key_of(who_);
    auto held = door_.with.admit(key);
    if (!held) return turn_away();
    if (who_.level == level::nobody)
      door_.refuse(who_, {403, "forbidden",
                          "this certificate has no level, so each request is refused; if it belongs to an "
                          "administrator, add its SAN URI to api.certificates"});
    else
      log::debug(door_.component(), "api-client-connected", "a client with a certificate connected",
                 {{"peer", who_.address},
                  {"certificate", who_.uri},
                  {"serial", crypto::peer_serial(stream_.native_handle())}});
    over_ = true;
    timer_.cancel();
    const auto self = shared_from_this();
    door_.forget(*this);
    auto hosts = door_.hosts_of(stream_);
    door_.with.begin(std::move(stream_),
                     {door::tls, std::move(who_), std::move(hosts), std::move(key), std::move(held)});
  }

  void refuse(handshake_end kind, std::string why) {
    door_.shared.count_handshake(kind);
    door_.refuse(who_, {400, "peer-identity", std::move(why)});
    end();
  }

  void turn_away() {
    leaving_ = true;
    expect_within(turn_away_max);
    farewell_ = answer_when_full(door_.shared);
    asio::async_write(stream_, asio::buffer(farewell_),
                      [self = shared_from_this()](const error_code& ec, std::size_t) {
                        if (ec || self->over_) return self->end();
                        self->stream_.async_shutdown([self](const error_code&) { self->end(); });
                      });
  }

  tls_door::impl& door_;
  tls_stream stream_;
  asio::steady_timer timer_;
  peer who_;
  std::string farewell_;
  bool heard_ = false, leaving_ = false, over_ = false;
};

/// At the start, on the thread of the caller, so that a port that is taken is an error of the start.
result<bool> tls_door::impl::bind() {
  error_code ec;
  return bind_to(lookups.resolve(wanted.host, std::to_string(wanted.port), ec), ec);
}

/// True: bound; false: the address does not exist yet.
result<bool> tls_door::impl::bind_to(const tcp::resolver::results_type& found, error_code ec) {
  const auto where = "api.listen: " + wanted.text();
  if (ec || found.empty()) return wait_for_address(where + ": " + ec.message());
  const auto at = found.begin()->endpoint();
  error_code ignored;
  acceptor.open(at.protocol(), ec);
  if (!ec) acceptor.set_option(tcp::acceptor::reuse_address{true}, ec);
  if (!ec) acceptor.bind(at, ec);
  if (!ec) acceptor.listen(asio::socket_base::max_listen_connections, ec);
  if (ec) {
    acceptor.close(ignored);
    if (ec.value() == EADDRNOTAVAIL) return wait_for_address(where + ": not an address of this machine");
    return fail(errc::state_conflict, where + ": " + ec.message() + "; does another program use this port?");
  }
  const auto got = acceptor.local_endpoint(ignored);
  bound_port = got.port();
  if (shared.parts.doors) shared.parts.doors->set(&doors::places::listen, address_text(got));
  return true;
}

bool tls_door::impl::wait_for_address(const std::string& why) {
  if (no_address.due(now_anchored(), why))
    log::error(component(), "api-not-listening", why + "; no client can connect there; retrying every 2 s");
  return false;
}

void tls_door::impl::begin() {
  if (bound_port != 0)
    return accept_all(io, shared, acceptor, [this](tcp_stream s) { accepted(std::move(s)); });
  pause.expires_after(bind_pause);
  pause.async_wait([this](const error_code& stop) {
    if (!stop && !closed) try_again();
  });
}

/// A name server that does not answer holds up a thread of the resolver, not the connections of the Unix socket.
void tls_door::impl::try_again() {
  lookups.async_resolve(wanted.host, std::to_string(wanted.port),
                        [this](const error_code& ec, const tcp::resolver::results_type& found) {
                          if (closed) return;
                          if (const auto opened = bind_to(found, ec); !opened)
                            (void)wait_for_address(opened.error().detail);
                          if (bound_port != 0)
                            log::info(component(), "api-listening",
                                      "the address exists now; clients can connect");
                          begin();
                        });
}

void tls_door::impl::accepted(tcp_stream s) {
  auto made = source->context();
  if (!made) return;  // the source logs the reason, rate-limited
  if (pending.size() >= shared.parts.limits.handshakes) {
    ++shared.turned_away;
    if (handshakes_full.due(now_anchored(), "full"))
      log::warn(component(), "api-full", "too many handshakes are in progress; the oldest ones are closed",
                {{"handshakes", std::to_string(pending.size())}});
    const auto oldest = pending.front();
    oldest->give_way();
  }
  asio::ssl::context tls{made->release()};
  pending.push_back(std::make_shared<handshake>(*this, std::move(s), tls));
  in_handshake = pending.size();
  pending.back()->start();
}

void tls_door::impl::forget(const handshake& h) {
  pending.remove_if([&h](const auto& p) { return p.get() == &h; });
  in_handshake = pending.size();
}

void tls_door::impl::tick_later() {
  ticker.expires_after(tick_period);
  ticker.async_wait([this](const error_code& stop) {
    if (stop || closed) return;
    source->look();
    for (const auto& h : lines.over(now_anchored()))
      log::warn(component(), "refusals-held-back", "further lines about clients of the API were not written",
                {{"certificate", h.key.empty() ? "several" : h.key}, {"lines", std::to_string(h.lines)}});
    const auto now = source->crl_changes();
    const bool other_crls = std::exchange(crl_changes, now) != now;
    if (++ticks % ticks_per_judgement == 0 || other_crls) with.judge();
    tick_later();
  });
}

void tls_door::impl::refuse(const peer& who, const problem& why) {
  if (lines.take(now_anchored(), who.uri))
    log::warn(component(), "api-client-refused", why.detail,
              {{"peer", who.address}, {"certificate", who.uri}});
  // The audit trail has its own bounds and counts; only those that a slow disk holds up are bounded here.
  if (shared.parts.changes == nullptr || unrecorded >= unrecorded_max) return;
  ++unrecorded;
  asio::post(shared.workers, [this, who, why] {
    shared.parts.changes->refused({who, {}, "connect", {}, nullptr, nullptr}, why);
    --unrecorded;
  });
}

std::vector<std::string> tls_door::impl::hosts_of(tls_stream& s) const {
  error_code ignored;
  const auto at = s.next_layer().local_endpoint(ignored);
  std::vector<std::string> out{address_text(at)};
  auto names = crypto::own_hosts(s.native_handle());
  names.push_back(wanted.host);
  for (const auto& name : names) {
    const auto full = config::address{name, at.port()}.text();
    out.push_back(full);
    // Clients leave the port of https out.
    if (at.port() == https_port) out.push_back(full.substr(0, full.rfind(':')));
  }
  return out;
}

tls_door::tls_door(std::unique_ptr<impl> i) : impl_(std::move(i)) {}
tls_door::~tls_door() = default;

result<std::unique_ptr<tls_door>> tls_door::open(asio::io_context& io, shared_state& shared,
                                                 const config::api_config& c, tls_door_hooks hooks) {
  auto i = std::make_unique<impl>(io, shared, c, std::move(hooks));
  CPNS_TRY(i->source, crypto::tls_source::for_api(shared.parts.component,
                                                  {c.tls->ca.string(), c.tls->certificate.string(),
                                                   c.tls->key.string(), c.tls->crl.string()}));
  i->crl_changes = i->source->crl_changes();
  shared.tls = i->source;
  CPNS_CHECK(i->bind());
  i->begin();
  i->tick_later();
  return std::unique_ptr<tls_door>{new tls_door{std::move(i)}};
}

void tls_door::close() {
  auto& m = *impl_;
  m.closed = true;
  error_code ignored;
  m.acceptor.close(ignored);
  m.lookups.cancel();
  m.pause.cancel();
  m.ticker.cancel();
  const auto all = m.pending;
  for (const auto& h : all) h->end();
}

std::uint16_t tls_door::port() const { return impl_->bound_port; }
std::size_t tls_door::handshakes() const { return impl_->in_handshake; }

}  // namespace cpns::api::detail
