#include "server/listener.hpp"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <cctype>
#include <condition_variable>
#include <map>
#include <optional>
#include <thread>

#include "base/log.hpp"
#include "base/seldom.hpp"
#include "server/connection.hpp"

namespace cpns::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr int io_threads = 2;
/// After EMFILE and the like: time for others to give back what they hold.
constexpr milliseconds accept_pause{100};
/// Between two attempts to bind an address that is not there yet.
constexpr seconds bind_pause{2};

/// What a resolver may know later. Anything else is a mistake in the file.
bool is_name(const std::string& host) {
  return !host.empty() && std::all_of(host.begin(), host.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_';
  });
}
/// Connections that ended before their first byte are told about together, as often as this.
constexpr std::chrono::hours silent_said_every{1};

}  // namespace

struct listener::impl {
  // Shared with the connections: whoever holds a port to the very end must not outlive what its timer lives
  // in.
  std::shared_ptr<asio::io_context> shared_io = std::make_shared<asio::io_context>(io_threads);
  asio::io_context& io = *shared_io;
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  asio::strand<asio::io_context::executor_type> strand{asio::make_strand(io)};
  crypto::tls_supply contexts;
  std::string host;
  std::uint16_t wanted_port = 0;
  tcp::acceptor acceptor{strand};
  tcp::endpoint bound;  // with the guard, and so is `is_bound`
  bool is_bound = false;
  seldom not_there;
  seldom no_room;  // with the guard
  std::shared_ptr<refusal_log> lines = std::make_shared<refusal_log>("connections");
  asio::steady_timer pause{strand};
  asio::steady_timer ticker{strand};
  milliseconds tick_period{};
  std::function<void()> tick;
  session_factory make_session;
  std::vector<std::thread> threads;

  mutable std::mutex guard;
  std::condition_variable empty;
  link_limits limits;
  std::map<const connection*, std::weak_ptr<connection>> live;
  bool stopping = false;
  bool waiting_for_room = false;
  bool complained = false;   ///< of a failed accept, and none succeeded since; on the strand
  std::uint64_t silent = 0;  ///< connections that ended before their first byte, not yet told about
  std::optional<connection::clock::time_point> silent_said;

  impl(crypto::tls_supply tls, const link_limits& l, session_factory make)
      : contexts(std::move(tls)), make_session(std::move(make)), limits(l) {}

  /// True: bound; false: the address is not there yet.
  result<bool> open();
  /// Accepts, or tries to bind again in a while. On the strand.
  void begin();
  void wait_for_address(const std::string& why);
  void accept();
  void on_accepted(const error_code& ec, tcp::socket s);
  void forget(const connection* c);
  /// With the guard held.
  void count_silent();
  /// With the guard held: goes on accepting if that had stopped and there is room again.
  void accept_if_room();
  void arm_ticker();
  std::vector<std::shared_ptr<connection>> all();
};

result<bool> listener::impl::open() {
  const std::string where = host + ":" + std::to_string(wanted_port);
  error_code ec;
  auto address = asio::ip::make_address(host, ec);
  if (ec) {
    if (!is_name(host)) return fail(errc::config_range, "listen: " + host + " is not an address or a name");
    tcp::resolver names{io};
    const auto found = names.resolve(host, std::to_string(wanted_port), ec);
    if (ec || found.empty()) return wait_for_address("listen: " + where + ": " + ec.message()), false;
    address = found.begin()->endpoint().address();
  }
  const tcp::endpoint at{address, wanted_port};
  acceptor.open(at.protocol(), ec);
  if (!ec) acceptor.set_option(tcp::acceptor::reuse_address{true}, ec);
  if (!ec) acceptor.bind(at, ec);
  if (!ec) acceptor.listen(asio::socket_base::max_listen_connections, ec);
  tcp::endpoint got;
  if (!ec) got = acceptor.local_endpoint(ec);
  if (ec) {
    error_code ignored;
    acceptor.close(ignored);
    if (ec.value() == EADDRNOTAVAIL)
      return wait_for_address("listen: " + where + ": this machine does not have the address"), false;
    return fail(errc::config_usage,
                "listen: " + where + ": " + ec.message() + "; is another server running there?");
  }
  std::lock_guard lock{guard};
  bound = got;
  is_bound = true;
  return true;
}

void listener::impl::wait_for_address(const std::string& why) {
  if (not_there.due(now_anchored(), why))
    log::error("server", "not-listening", why + "; no gateway can connect until it is there",
               {{"again_in_s", std::to_string(bind_pause.count())}});
}

void listener::impl::begin() {
  if (is_bound) return accept();
  pause.expires_after(bind_pause);
  pause.async_wait([this](const error_code& stop) {
    if (stop) return;
    {
      std::lock_guard lock{guard};
      if (stopping) return;
    }
    if (const auto opened = open(); !opened) wait_for_address(opened.error().message());
    if (is_bound) log::info("server", "server-listening", "the address is there: gateways may connect");
    begin();
  });
}

void listener::impl::accept() {
  {
    std::lock_guard lock{guard};
    if (stopping) return;
    waiting_for_room = live.size() >= limits.connections;
    if (waiting_for_room) {
      const auto taken = std::to_string(live.size());
      if (no_room.due(now_anchored(), taken))
        log::warn("server", "connections-full", "further gateways wait to be accepted",
                  {{"connections", taken}});
      return;
    }
  }
  acceptor.async_accept(io, [this](const error_code& ec, tcp::socket s) { on_accepted(ec, std::move(s)); });
}

void listener::impl::on_accepted(const error_code& ec, tcp::socket s) {
  if (ec == asio::error::operation_aborted) return;
  if (ec) {
    if (!std::exchange(complained, true))
      log::warn("server", "accept-failed", ec.message() + "; trying again and again");
    pause.expires_after(accept_pause);
    pause.async_wait([this](const error_code& stop) {
      if (!stop) accept();
    });
    return;
  }
  complained = false;
  auto made = contexts();
  if (!made) {  // whoever makes them says why, at a rate that it bounds
    s.close();
    return accept();
  }
  asio::ssl::context tls{made->release()};
  std::shared_ptr<connection> c;
  {
    std::lock_guard lock{guard};
    if (stopping) return;
    // The session factory lives as long as this object, which outlives its connections.
    c = std::make_shared<connection>(
        shared_io, std::move(s), tls, limits, lines,
        [this](peer_info p, std::shared_ptr<link_port> port) {
          return make_session(std::move(p), std::move(port));
        },
        [this](const connection* over) { forget(over); });
    live.emplace(c.get(), c);
  }
  c->start();
  accept();
}

void listener::impl::forget(const connection* c) {
  std::lock_guard lock{guard};
  live.erase(c);
  if (!c->heard() && !stopping) count_silent();
  if (live.empty()) empty.notify_all();
  accept_if_room();
}

void listener::impl::count_silent() {
  ++silent;
  const auto now = connection::clock::now();
  if (silent_said && now - *silent_said < silent_said_every) return;
  silent_said = now;
  log::info("server", "connections-without-a-byte",
            "connections ended before their first byte, as health checks do; said once an hour",
            {{"connections", std::to_string(std::exchange(silent, 0))}});
}

void listener::impl::accept_if_room() {
  if (!waiting_for_room || stopping || live.size() >= limits.connections) return;
  waiting_for_room = false;
  asio::post(strand, [this] { accept(); });
}

std::vector<std::shared_ptr<connection>> listener::impl::all() {
  std::vector<std::shared_ptr<connection>> out;
  std::lock_guard lock{guard};
  for (const auto& [raw, weak] : live)
    if (auto c = weak.lock()) out.push_back(std::move(c));
  return out;
}

void listener::impl::arm_ticker() {
  ticker.expires_after(tick_period);
  ticker.async_wait([this](const error_code& stop) {
    if (stop || !tick) return;
    tick();
    lines->tick(now_anchored());
    arm_ticker();
  });
}

listener::listener(std::unique_ptr<impl> i) : impl_(std::move(i)) {}

result<std::unique_ptr<listener>> listener::start(const std::string& host, std::uint16_t port,
                                                  crypto::tls_supply contexts, const link_limits& limits,
                                                  session_factory make_session) {
  auto i = std::make_unique<impl>(std::move(contexts), limits, std::move(make_session));
  i->host = host;
  i->wanted_port = port;
  CPNS_CHECK(i->open());
  auto* raw = i.get();
  asio::post(raw->strand, [raw] { raw->begin(); });
  for (int n = 0; n < io_threads; ++n) i->threads.emplace_back([raw] { raw->io.run(); });
  return std::unique_ptr<listener>(new listener(std::move(i)));
}

listener::~listener() { stop(); }

void listener::stop() {
  if (impl_->threads.empty()) return;
  drain(milliseconds{0});
  for (const auto& c : impl_->all()) c->abandon();
  asio::post(impl_->strand, [i = impl_.get()] {
    i->ticker.cancel();
    i->pause.cancel();
    i->tick = nullptr;
  });
  // The threads end when nothing is left to do: every handler has run, and with it every connection is let
  // go.
  impl_->work.reset();
  for (auto& t : impl_->threads) t.join();
  impl_->threads.clear();
}

std::string listener::address() const {
  std::lock_guard lock{impl_->guard};
  if (!impl_->is_bound) return impl_->host + ":0";
  const auto host = impl_->bound.address().to_string();
  return (impl_->bound.address().is_v6() ? "[" + host + "]" : host) + ":" +
         std::to_string(impl_->bound.port());
}

std::uint16_t listener::port() const {
  std::lock_guard lock{impl_->guard};
  return impl_->bound.port();
}

bool listener::listening() const {
  std::lock_guard lock{impl_->guard};
  return impl_->is_bound;
}

std::size_t listener::connections() const {
  std::lock_guard lock{impl_->guard};
  return impl_->live.size();
}

void listener::set_limits(const link_limits& limits) {
  std::lock_guard lock{impl_->guard};
  impl_->limits = limits;
  impl_->accept_if_room();
}

void listener::drain(milliseconds timeout) {
  {
    std::lock_guard lock{impl_->guard};
    impl_->stopping = true;
  }
  asio::post(impl_->strand, [i = impl_.get()] {
    error_code ignored;
    i->acceptor.close(ignored);
    if (!i->is_bound) i->pause.cancel();
  });
  for (const auto& c : impl_->all()) c->drain();
  std::unique_lock lock{impl_->guard};
  impl_->empty.wait_for(lock, timeout, [this] { return impl_->live.empty(); });
}

void listener::every(milliseconds period, std::function<void()> tick) {
  asio::post(impl_->strand, [i = impl_.get(), period, tick = std::move(tick)]() mutable {
    i->tick_period = period;
    i->tick = std::move(tick);
    i->arm_ticker();
  });
}

}  // namespace cpns::server
