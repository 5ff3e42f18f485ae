#include "api/http_server.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "api/accept.hpp"
#include "api/dispatch.hpp"
#include "api/session.hpp"
#include "api/tls_door.hpp"
#include "api/unix_socket.hpp"
#include "base/log.hpp"

namespace cpns::api {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using local = asio::local::stream_protocol;

/// Of clients that are turned away.
constexpr seconds farewell{1};
constexpr std::size_t farewells_max = 32;

constexpr mode_t own_user_only = 0600, all_users = 0666;

}  // namespace

std::string detail::address_text(const tcp::endpoint& at) {
  auto ip = at.address();
  if (ip.is_v6() && ip.to_v6().is_v4_mapped())
    ip = asio::ip::make_address_v4(asio::ip::v4_mapped, ip.to_v6());
  const auto host = ip.to_string();
  return (ip.is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(at.port());
}

std::string detail::key_of(const peer& p) {
  if (p.level == level::nobody) return "all without rights";
  return p.local ? "uid " + std::to_string(p.process.uid) : p.uri;
}

std::string detail::answer_when_full(const shared_state& shared) {
  const auto& most = shared.parts.limits;
  const bool all = shared.connections >= most.connections;
  const problem why{503, "too-many-connections",
                    "all " + std::to_string(all ? most.connections : most.connections_per_peer) +
                        " connections that " + (all ? "the API" : "one user, or one certificate,") +
                        " may have are at work, as readers of events always are; close one"};
  const auto id = id_of({});
  const auto body = document_of(why, id);
  return "HTTP/1.1 503 Service Unavailable\r\nContent-Type: " + std::string{problem_type} +
         "\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\nRetry-After: " + std::to_string(why.retry_after.value_or(1)) + "\r\nCpns-Request-Id: " + id +
         "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n" + body;
}

struct http_server::impl {
  explicit impl(http_parts p)
      : shared(std::move(p), workers, probe_workers), workers(shared.parts.limits.workers),
        probe_workers(shared.parts.limits.probe_workers) {}

  detail::shared_state shared;
  asio::io_context io{1};
  // Destroyed before `io`: a request that came while the server ended may still wait here, and its connection needs `io`.
  asio::thread_pool workers, probe_workers;
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  std::optional<unix_socket> path;  ///< removed after the acceptor is closed
  local::acceptor local_door{io};
  tcp::acceptor probe_door{io};
  std::vector<std::string> probe_hosts;
  detail::places taken;
  std::vector<std::weak_ptr<detail::session_base>> sessions;  ///< used on the io thread
  std::set<std::shared_ptr<asio::steady_timer>> farewells;    ///< used on the io thread
  std::unique_ptr<detail::tls_door> tls;
  std::thread thread;

  status open(const config::api_config& c);
  void begin_local(local::socket s);
  void begin_probe(tcp::socket s);
  status open_tls(const config::api_config& c);
  void show(std::string doors::places::*which, const std::string& at);
  void judge_all();
  /// A place for one more connection of `key`, or nullptr.
  detail::place place_for(const std::string& key);
  /// The same; without a place the peer gets an answer that says so.
  template <class Socket>
  detail::place place_or_answer(const std::string& key, Socket& s);
  /// A client that sends before it reads must still find the answer: its socket is closed a second later. If too many
  /// wait so, it is closed at once.
  template <class Socket>
  void close_later(Socket& s);
  /// Closes the connection that has waited longest for a request: silent clients must not keep others out. Of `key`
  /// alone, unless it is empty. False if all work.
  bool evict_idle(const std::string& key);
  void remember(const std::shared_ptr<detail::session_base>& s);
};

status http_server::impl::open(const config::api_config& c) {
  CPNS_TRY(auto rules, access_rules::make(c));
  shared.access = std::make_shared<const access_rules>(std::move(rules));
  if (c.socket && !c.socket->empty()) {
    // Rights come from the credentials of a peer, so with groups every user may connect, and is refused with a reason.
    const bool for_all = shared.parts.level_of || shared.access->names_groups();
    CPNS_TRY(auto made, unix_socket::listen(c.socket->string(), for_all ? all_users : own_user_only,
                                            shared.parts.socket_setting));
    path.emplace(std::move(made));
    local_door.assign(local{}, path->release());
    show(&doors::places::socket, path->path());
  }
  if (c.probes) {
    error_code ec;
    const auto where = "api.probes " + c.probes->text();
    const auto host = asio::ip::make_address(c.probes->host, ec);
    if (ec) return fail(errc::config_range, where + ": not an IP address");
    const tcp::endpoint at{host, c.probes->port};
    probe_door.open(at.protocol(), ec);
    if (!ec) probe_door.set_option(tcp::acceptor::reuse_address{true}, ec);
    if (!ec) probe_door.bind(at, ec);
    if (!ec) probe_door.listen(asio::socket_base::max_listen_connections, ec);
    if (ec)
      return fail(errc::state_conflict,
                  where + ": " + ec.message() + "; does another program use this port?");
    const auto bound = probe_door.local_endpoint(ec);
    probe_hosts = {detail::address_text(bound), "localhost:" + std::to_string(bound.port())};
    show(&doors::places::probes, probe_hosts.front());
  }
  return c.listen && c.tls ? open_tls(c) : status{};
}

status http_server::impl::open_tls(const config::api_config& c) {
  CPNS_TRY(tls, detail::tls_door::open(io, shared, c,
                                       {.admit = [this](const std::string& key) { return place_for(key); },
                                        .begin =
                                            [this](detail::tls_stream s, detail::origin from) {
                                              remember(detail::make_session(shared, std::move(s),
                                                                            std::move(from)));
                                            },
                                        .judge = [this] { judge_all(); }}));
  return {};
}

void http_server::impl::judge_all() {
  for (const auto& w : sessions)
    if (const auto s = w.lock()) s->judge();
}

void http_server::impl::show(std::string doors::places::*which, const std::string& at) {
  if (shared.parts.doors) shared.parts.doors->set(which, at);
}

detail::place http_server::impl::place_for(const std::string& key) {
  const auto& most = shared.parts.limits;
  const bool peer_is_full = taken.of(key) >= most.connections_per_peer;
  if (!peer_is_full && shared.connections < most.connections) return taken.take(key);
  if (evict_idle(peer_is_full ? key : std::string{})) return taken.take(key);
  ++shared.turned_away;
  if (shared.full.due(now_anchored(), key))
    log::warn(shared.parts.component, "api-full",
              "the API has too many connections; further ones are turned away",
              {{"connections", std::to_string(shared.connections)}, {"peer", key}});
  return nullptr;
}

template <class Socket>
detail::place http_server::impl::place_or_answer(const std::string& key, Socket& s) {
  auto held = place_for(key);
  if (held) return held;
  const auto text = detail::answer_when_full(shared);
  (void)::send(s.native_handle(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  close_later(s);
  return nullptr;
}

template <class Socket>
void http_server::impl::close_later(Socket& s) {
  error_code ignored;
  s.shutdown(asio::socket_base::shutdown_send, ignored);
  if (farewells.size() >= farewells_max) return;
  auto timer = std::make_shared<asio::steady_timer>(io, farewell);
  farewells.insert(timer);
  timer->async_wait([this, timer, kept = std::make_shared<Socket>(std::move(s))](const error_code&) {
    farewells.erase(timer);
  });
}

bool http_server::impl::evict_idle(const std::string& key) {
  std::shared_ptr<detail::session_base> longest;
  for (const auto& w : sessions) {
    auto s = w.lock();
    if (!s || s->idle_since == 0 || (!key.empty() && s->key != key)) continue;
    if (!longest || s->idle_since < longest->idle_since) longest = std::move(s);
  }
  if (!longest) return false;
  longest->idle_since = 0;
  longest->abandon();
  return true;
}

void http_server::impl::remember(const std::shared_ptr<detail::session_base>& s) {
  if (sessions.size() > 2 * shared.parts.limits.connections)
    std::erase_if(sessions, [](const auto& w) { return w.expired(); });
  sessions.push_back(s);
  s->start();
}

void http_server::impl::begin_local(local::socket s) {
  auto who = identify(s.native_handle());
  if (!who) return log::warn(shared.parts.component, "api-peer-unknown", who.error().message());
  peer from;
  from.level = shared.parts.level_of ? shared.parts.level_of(*who) : shared.rules()->level_of(*who);
  from.process = std::move(*who);
  auto key = detail::key_of(from);
  auto held = place_or_answer(key, s);
  if (!held) return;
  remember(detail::make_session(
      shared, std::move(s),
      {detail::door::unix_socket, std::move(from), {}, std::move(key), std::move(held)}));
}

void http_server::impl::begin_probe(tcp::socket s) {
  error_code ec;
  const auto remote = s.remote_endpoint(ec);
  if (ec) return;
  auto held = place_or_answer("probes", s);
  if (!held) return;
  peer from;
  from.local = false;
  from.address = detail::address_text(remote);
  remember(detail::make_session(
      shared, std::move(s), {detail::door::probes, std::move(from), probe_hosts, "probes", std::move(held)}));
}

http_server::http_server(std::unique_ptr<impl> i) : impl_(std::move(i)) {}

result<std::unique_ptr<http_server>> http_server::start(const config::api_config& c, http_parts parts) {
  auto i = std::make_unique<impl>(std::move(parts));
  CPNS_CHECK(i->open(c));
  auto* m = i.get();
  if (m->local_door.is_open())
    detail::accept_all(m->io, m->shared, m->local_door,
                       [m](local::socket s) { m->begin_local(std::move(s)); });
  if (m->probe_door.is_open())
    detail::accept_all(m->io, m->shared, m->probe_door, [m](tcp::socket s) { m->begin_probe(std::move(s)); });
  m->thread = std::thread{[m] { m->io.run(); }};
  return std::unique_ptr<http_server>{new http_server{std::move(i)}};
}

http_server::~http_server() {
  auto& m = *impl_;
  asio::post(m.io, [&m] {
    error_code ignored;
    m.local_door.close(ignored);
    m.probe_door.close(ignored);
    if (m.tls) m.tls->close();
    for (const auto& timer : m.farewells) timer->cancel();
    for (const auto& w : m.sessions)
      if (const auto s = w.lock()) s->abandon();
  });
  m.workers.join();
  m.probe_workers.join();
  m.work.reset();
  m.thread.join();
}

status http_server::reload(const config::api_config& c) {
  CPNS_TRY(auto rules, access_rules::make(c));
  auto& m = *impl_;
  {
    std::lock_guard lock{m.shared.guard};
    m.shared.access = std::make_shared<const access_rules>(std::move(rules));
  }
  if (!m.tls) return {};
  m.shared.tls->read_again();
  asio::post(m.io, [&m] { m.judge_all(); });
  return {};
}

std::uint16_t http_server::probe_port() const {
  error_code ec;
  const auto at = impl_->probe_door.local_endpoint(ec);
  return ec ? std::uint16_t{0} : at.port();
}

std::uint16_t http_server::tls_port() const { return impl_->tls ? impl_->tls->port() : std::uint16_t{0}; }

std::map<std::string, time_point> http_server::certificate_ends() const {
  return impl_->tls ? impl_->shared.tls->ends() : std::map<std::string, time_point>{};
}

http_counters http_server::counters() const {
  const auto& s = impl_->shared;
  http_counters out{s.requests,
                    s.problems,
                    s.forbidden,
                    s.turned_away,
                    s.cut_off,
                    {},
                    s.connections,
                    s.readers.of(detail::all_readers),
                    {},
                    impl_->tls ? impl_->tls->handshakes() : 0};
  for (std::size_t i = 0; i < out.answers.size(); ++i) out.answers[i] = s.answers[i];
  for (std::size_t i = 0; i < out.handshake_ends.size(); ++i) out.handshake_ends[i] = s.handshake_ends[i];
  return out;
}

}  // namespace cpns::api
