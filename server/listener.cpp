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
/// Pause after EMFILE and similar errors, until descriptors are free again.
constexpr milliseconds accept_pause{100};
/// Between attempts to bind an address that does not exist yet.
constexpr seconds bind_pause{2};

/// A host name may resolve later; anything else is a mistake in the file.
bool is_name(const std::string& host) {
  return !host.empty() && std::all_of(host.begin(), host.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_';
  });
}
/// Interval of the summary of connections that ended before their first byte.
constexpr std::chrono::hours silent_report_interval{1};

}  // namespace

struct listener::impl {
  // A link_port may outlive the listener, and the timer of a link_port needs the io_context. So listener and
  // link_port share the io_context.
  std::shared_ptr<asio::io_context> shared_io = std::make_shared<asio::io_context>(io_threads);
  asio::io_context& io = *shared_io;
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  asio::strand<asio::io_context::executor_type> strand{asio::make_strand(io)};
  crypto::tls_supply contexts;
  std::string host;
  std::uint16_t wanted_port = 0;
  tcp::acceptor acceptor{strand};
  tcp::endpoint bound;  // guarded, like `is_bound`
  bool is_bound = false;
  seldom no_address;
  seldom connections_full;  // guarded
  std::shared_ptr<refusal_log> lines = std::make_shared<refusal_log>("connections");
  asio::steady_timer pause{strand};
  asio::steady_timer ticker{strand};
  milliseconds tick_period{};
  std::function<void()> tick;
  session_factory make_session;
  std::vector<std::thread> threads;

  mutable std::mutex guard;
  std::condition_variable empty;
  std::shared_ptr<const link_limits> limits;
  std::map<const connection*, std::weak_ptr<connection>> live;
  bool stopping = false;
  bool leaving = false;        ///< accepts nothing
  bool paused = false;         ///< at limits.connections
  bool accept_failed = false;  ///< an error was logged, and no accept has succeeded since; used on the strand
  std::uint64_t silent = 0;    ///< connections that ended before their first byte, not yet reported
  std::optional<connection::clock::time_point> silent_reported;

  impl(crypto::tls_supply tls, const link_limits& l, session_factory make)
      : contexts(std::move(tls)), make_session(std::move(make)),
        limits(std::make_shared<const link_limits>(l)) {}

  /// True: bound; false: the address does not exist yet.
  result<bool> open();
  /// Accepts, or retries to bind after bind_pause. On the strand.
  void begin();
  void wait_for_address(const std::string& why);
  void accept();
  void on_accepted(const error_code& ec, tcp::socket s);
  void forget(const connection* c);
  /// With the guard held.
  void count_silent();
  /// With the guard held: accepts again if fewer than limits.connections are open.
  void resume();
  void arm_ticker();
  void stop_accepting();
  std::vector<std::shared_ptr<connection>> all();
};

result<bool> listener::impl::open() {
  const std::string where = host + ":" + std::to_string(wanted_port);
  error_code ec;
  auto address = asio::ip::make_address(host, ec);
  if (ec) {
    if (!is_name(host))
      return fail(errc::config_range, "listen: " + host + " is not an address or a host name");
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
      return wait_for_address("listen: " + where + ": not an address of this machine"), false;
    return fail(errc::state_conflict,
                "listen: " + where + ": " + ec.message() + "; is another server running there?");
  }
  std::lock_guard lock{guard};
  bound = got;
  is_bound = true;
  return true;
}

void listener::impl::wait_for_address(const std::string& why) {
  if (no_address.due(now_anchored(), why))
    log::error("server", "not-listening", why + "; no gateway can connect; retrying every 2 s",
               {{"again_in_s", std::to_string(bind_pause.count())}});
}

void listener::impl::begin() {
  if (is_bound) return accept();
  pause.expires_after(bind_pause);
  pause.async_wait([this](const error_code& stop) {
    if (stop) return;
    {
      std::lock_guard lock{guard};
      if (stopping || leaving) return;
    }
    if (const auto opened = open(); !opened) wait_for_address(opened.error().message());
    if (is_bound) log::info("server", "server-listening", "the address exists now; gateways can connect");
    begin();
  });
}

void listener::impl::accept() {
  {
    std::lock_guard lock{guard};
    if (stopping || leaving) return;
    paused = live.size() >= limits->connections;
    if (paused) {
      const auto taken = std::to_string(live.size());
      if (connections_full.due(now_anchored(), taken))
        log::warn("server", "connections-full", "limits.connections is reached; further gateways wait",
                  {{"connections", taken}});
      return;
    }
  }
  acceptor.async_accept(io, [this](const error_code& ec, tcp::socket s) { on_accepted(ec, std::move(s)); });
}

void listener::impl::on_accepted(const error_code& ec, tcp::socket s) {
  if (ec == asio::error::operation_aborted) return;
  if (ec) {
    if (!std::exchange(accept_failed, true))
      log::warn("server", "accept-failed", ec.message() + "; retrying");
    pause.expires_after(accept_pause);
    pause.async_wait([this](const error_code& stop) {
      if (!stop) accept();
    });
    return;
  }
  accept_failed = false;
  auto made = contexts();
  if (!made) {  // the source of the contexts logs the reason, rate-limited
    s.close();
    return accept();
  }
  std::shared_ptr<connection> c;
  {
    std::lock_guard lock{guard};
    if (stopping || leaving) return;
    // The session factory lives as long as this object, which outlives its connections.
    c = std::make_shared<connection>(
        shared_io, std::move(s), *std::move(made), limits, lines,
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
  resume();
}

void listener::impl::count_silent() {
  ++silent;
  const auto now = connection::clock::now();
  if (silent_reported && now - *silent_reported < silent_report_interval) return;
  silent_reported = now;
  log::info("server", "connections-without-a-byte",
            "connections ended before their first byte (health checks?); reported at most once per hour",
            {{"connections", std::to_string(std::exchange(silent, 0))}});
}

void listener::impl::resume() {
  if (!paused || stopping || leaving || live.size() >= limits->connections) return;
  paused = false;
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
  // The threads end once every handler has run and thereby released its connection.
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
  impl_->limits = std::make_shared<const link_limits>(limits);
  impl_->resume();
}

void listener::end_revoked() {
  for (const auto& c : impl_->all()) c->end_if_revoked();
}

void listener::impl::stop_accepting() {
  asio::post(strand, [this] {
    error_code ignored;
    acceptor.close(ignored);
    if (!is_bound) pause.cancel();
  });
}

void listener::leave() {
  {
    std::lock_guard lock{impl_->guard};
    impl_->leaving = true;
  }
  impl_->stop_accepting();
  for (const auto& c : impl_->all()) c->leave();
}

void listener::wait_empty(milliseconds timeout) {
  std::unique_lock lock{impl_->guard};
  impl_->empty.wait_for(lock, timeout, [this] { return impl_->live.empty(); });
}

void listener::end_all() {
  for (const auto& c : impl_->all()) c->drain();
}

void listener::drain(milliseconds timeout) {
  {
    std::lock_guard lock{impl_->guard};
    impl_->stopping = true;
  }
  impl_->stop_accepting();
  end_all();
  wait_empty(timeout);
}

void listener::every(milliseconds period, std::function<void()> tick) {
  asio::post(impl_->strand, [i = impl_.get(), period, tick = std::move(tick)]() mutable {
    i->tick_period = period;
    i->tick = std::move(tick);
    i->arm_ticker();
  });
}

}  // namespace cpns::server
