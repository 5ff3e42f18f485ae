#include "server/server.hpp"

#include <algorithm>
#include <boost/json.hpp>

#include "base/log.hpp"
#include "config/effective.hpp"
#include "config/memory_budget.hpp"
#include "crypto/tls_psk.hpp"
#include "crypto/tls_source.hpp"
#include "metrics/certificates.hpp"
#include "server/actor_system.hpp"
#include "server/administration.hpp"
#include "server/admission_view.hpp"
#include "server/dispatcher.hpp"
#include "server/front_desk.hpp"
#include "server/gateway_orders.hpp"
#include "server/heartbeat.hpp"
#include "server/index_build.hpp"
#include "server/index_sweep.hpp"
#include "server/key_services.hpp"
#include "server/listener.hpp"
#include "server/other_gateways.hpp"
#include "server/other_servers.hpp"
#include "server/reopened_store.hpp"
#include "server/server_drain.hpp"
#include "server/server_meta.hpp"
#include "server/session.hpp"
#include "server/store_view.hpp"
#include "server/unfinished_import.hpp"
#include "storage/postgres/schema.hpp"
#include "storage/store_metrics.hpp"

namespace cpns::server {
namespace {

link_limits limits_of(const config::server_config& c) {
  link_limits l;
  l.connections = c.limits.connections;
  l.requests_in_flight = c.limits.requests_in_flight;
  l.handshake_timeout = c.handshake_timeout;
  l.idle_timeout = c.idle_timeout;
  l.lifetime = c.connection_lifetime;
  l.probe = c.probe;
  l.gateway_uris = std::make_shared<const std::vector<std::string>>(c.gateway_uris);
  return l;
}

/// The addresses for Nodes: the own one, then the others of the configuration, then those of nodes that live.
std::vector<std::string> nodes_of(const config::server_config& c, const std::vector<std::string>& alive) {
  std::vector<std::string> out;
  const auto add = [&out](std::string a) {
    if (out.size() < protocol::nodes_max && std::find(out.begin(), out.end(), a) == out.end())
      out.push_back(std::move(a));
  };
  if (c.cluster.advertise) add(c.cluster.advertise->text());
  for (const auto& a : c.cluster.nodes) add(a.text());
  for (const auto& a : alive) add(a);
  return out;
}

/// At which gateways reach this server; empty if its configuration does not tell: it listens at all addresses.
std::string address_of(const config::server_config& c, std::string bound_to) {
  if (c.cluster.advertise) return c.cluster.advertise->text();
  return c.listen.host == "0.0.0.0" || c.listen.host == "::" ? std::string{} : std::move(bound_to);
}

/// Rows that nobody may act on: the database may be a former primary.
storage::rows_found untrusted(std::size_t rows) {
  return storage::rows_found(
      rows, fail(errc::store_unavailable, "the database acknowledges no heartbeat, so its rows may be old"));
}

seconds whole_seconds(milliseconds t) { return std::chrono::ceil<seconds>(t); }

std::shared_ptr<const actor_settings> settings_of(const config::server_config& c, const server_meta& meta) {
  auto s = std::make_shared<actor_settings>();
  s->assignment.set_size = c.keys.set_size;
  s->assignment.rekey = whole_seconds(c.keys.rekey);
  s->assignment.set_lifetime = whole_seconds(c.keys.lifetime);
  s->assignment.literal_temporary_key = c.temporary_key_release == config::key_release::literal;
  s->assignment.require_presence = c.require_presence;
  s->assignment.adopt_after = whole_seconds(c.adopt_after);
  s->assignment.issuer_key = meta.issuer_key;
  s->assignment.incarnation = meta.incarnation;
  s->entities_live = c.limits.entities_live;
  s->jobs = {c.limits.jobs, c.limits.jobs_per_gateway};
  s->work = {c.limits.jobs_in_work, c.limits.wait};
  s->jobs_per_user = c.limits.jobs_per_user;
  s->jobs_per_entity = c.limits.jobs_per_entity;
  s->entity_idle = c.entity_idle;
  return s;
}

/// Why a connection by key has to end although its handshake succeeded.
std::optional<std::string> removed(const crypto::psk_proof& used, const crypto::psk_lookup& keys) {
  const auto now = keys(used.identity);
  if (now && now->number == used.number) return std::nullopt;
  return "the pre-shared key of " + used.identity + " was removed";
}

crypto::tls_files files_of(const config::tls_files& f) {
  return {f.ca.string(), f.certificate.string(), f.key.string(), f.crl.string()};
}

}  // namespace

// Members are destroyed in reverse: sockets, then actors, then their dependencies.
struct server_role::impl {
  std::mutex guard;  ///< of `config`
  config::server_config config;
  const config::store_kind kind = config.store.kind;
  server_meta meta;
  metrics::registry counted;
  const handshake_metrics handshakes = handshake_metrics::make(counted);
  user_directory users;
  temporary_key_table devices;
  std::unique_ptr<heartbeat> beat;  ///< if the store is shared; ended first, destroyed after all that ask it
  std::vector<std::string> alive;   ///< addresses of nodes; with `guard`
  std::shared_ptr<std::atomic<bool>> stopping = std::make_shared<std::atomic<bool>>(false);
  std::shared_ptr<std::atomic<bool>> dead = std::make_shared<std::atomic<bool>>(false);
  system_config caf_config;
  caf::actor_system system{caf_config};
  std::unique_ptr<storage::group_committer> committer;
  std::unique_ptr<storage::group_reader> reader;
  std::shared_ptr<role_context> role;
  administration admin{*role};
  reopened_store reopened{*role};
  std::shared_ptr<crypto::tls_source> tls;
  std::uint64_t trust_changes =
      0;  ///< of CRLs and keys, for which the open connections were checked; on the listener's strand
  std::unique_ptr<listener> sockets;
  std::unique_ptr<server_drain> leaving;
  std::unique_ptr<device_imports> imports;
  std::unique_ptr<other_servers> others;  ///< if the store is shared
  std::unique_ptr<index_build> indexing;
  std::unique_ptr<index_sweep> sweeping;
  std::unique_ptr<key_services> services;  ///< their threads send to actors, so that they end before `system`

  impl(const config::server_config& c, server_meta m, storage::sealed_store& store, clock_fn now)
      : config(c), meta(std::move(m)),
        users(store, crypto::openssl_suite(), meta.fake_salt_key, c.limits.users_cached),
        committer(std::make_unique<storage::group_committer>(store, storage::commit_limits_for(store),
                                                             storage::make_commit_metrics(counted))),
        reader(std::make_unique<storage::group_reader>(store)),
        role(std::make_shared<role_context>(
            store,
            [to = committer.get()](storage::sealed_batch b, storage::commit_done done) {
              to->submit(std::move(b), std::move(done));
            },
            [this, from = reader.get()](std::vector<storage::row_name> names, storage::read_done done) {
              const auto n = names.size();
              from->submit(std::move(names), [this, n, done = std::move(done)](storage::rows_found rows) {
                done(beat && !beat->fresh() ? untrusted(n) : std::move(rows));
              });
            },
            users, devices, crypto::openssl_suite(), crypto::system_entropy(), std::move(now),
            settings_of(c, meta))) {
    role->counted = server_metrics{counted};
    role->credit->set_most(memory_of(config).held);
    role->name = config.name;
    auto made = system.spawn(dispatcher, role.get());
    made->attach_functor([is_stopping = stopping, is_dead = dead](const caf::error&) {
      if (*is_stopping) return;
      *is_dead = true;
      log::error("server", "actor-died", "the dispatcher ended unexpectedly: the role has failed");
    });
    role->replace_dispatcher(std::move(made));
  }
  impl(const impl&) = delete;
  impl& operator=(const impl&) = delete;

  /// As of limits_of; the listener refuses certificates that were revoked, and keys that were removed, since their
  /// handshake.
  [[nodiscard]] link_limits current_limits() const {
    auto l = limits_of(config);
    l.revoked = [source = tls, keys = role->known_gateways.keys()](const ssl_st* ssl) {
      const auto psk = crypto::psk_of(ssl);
      return psk ? removed(*psk, keys) : source->revoked(ssl);
    };
    l.handshakes = handshakes;
    l.credit = role->credit;
    return l;
  }
  /// Values that others count, at a scrape.
  void collect(metrics::sheet& to) const {
    to.gauge("cpns_server_listening", "1: the address is bound, so that gateways can connect.",
             sockets->listening() ? 1 : 0);
    to.gauge("cpns_server_connections", "Connections of gateways, with those in their handshake.",
             static_cast<double>(sockets->connections()));
    to.gauge("cpns_server_jobs", "Requests and reported epochs that are not answered yet.",
             static_cast<double>(role->work->total()));
    count_admission(to, role->door->look());
    to.gauge("cpns_server_held_bytes",
             "Frames that are not answered, and answers that are not sent, of all connections.",
             static_cast<double>(role->credit->used()));
    to.gauge("cpns_server_held_bytes_limit", "Its bound: over it no connection is read.",
             static_cast<double>(role->credit->most()));
    to.counter("cpns_server_reads_paused_total", "How often a connection was not read because of that bound.",
               static_cast<double>(role->credit->pauses()));
    if (beat) count_nodes(to);
    to.gauge("cpns_server_users_cached", "Users in memory.", static_cast<double>(users.cached()));
    metrics::add_certificate_ends(to, "tls", tls->ends());
    services->collect(to);
  }
  void count_nodes(metrics::sheet& to) const {
    constexpr double per_second = 1000;
    const auto nodes = beat->nodes();
    for (const auto life : {seen_node::life::alive, seen_node::life::silent, seen_node::life::stopped})
      to.gauge("cpns_server_nodes", "Servers that share the database, by what their heartbeats tell.",
               static_cast<double>(std::count_if(nodes.begin(), nodes.end(),
                                                 [life](const seen_node& n) { return n.is == life; })),
               {{"state", std::string(name_of(life))}});
    to.gauge("cpns_server_heartbeat_age_seconds",
             "Time since the begin of the last heartbeat that the database acknowledged.",
             static_cast<double>(beat->age().count()) / per_second);
  }
  /// Ends connections whose certificate was revoked by CRLs that were read since, or whose key was removed.
  void look_at_trust() {
    const auto now = tls->crl_changes() + role->known_gateways.keys_removed();
    if (std::exchange(trust_changes, now) != now) sockets->end_revoked();
  }

  /// Before the first connection. Errors of heartbeat::begin.
  status begin_heartbeat(storage::sealed_store& store, std::function<std::string()> key) {
    if (!store.shared()) return {};
    node_row own;
    own.name = config.name;
    own.version = CPNS_VERSION;
    own.schema = storage::postgres_schema_version();
    own.address = address_of(config, config.listen.text());
    CPNS_TRY(beat, heartbeat::begin({.store = &store,
                                     .commit = role->commit,
                                     .now = role->now,
                                     .random = &role->random,
                                     .key = std::move(key)},
                                    std::move(own)));
    return {};
  }
  /// After both books were loaded.
  status begin_with_others(storage::sealed_store& store) {
    if (!beat) return {};
    const auto nodes = [this] { return beat->nodes(); };
    role->elsewhere = std::make_shared<other_gateways>(store, nodes);
    role->orders = std::make_shared<gateway_orders>(*role, config.name, beat->start(), nodes);
    CPNS_CHECK(role->orders->begin());
    others =
        std::make_unique<other_servers>(*role, reopened, presence_writer{*role, config.name, beat->start()});
    return {};
  }
  void run_heartbeat() {
    if (!beat) return;
    beat->run(
        [this] {
          const std::lock_guard lock{guard};
          return heartbeat::load{address_of(config, sockets->address()), sockets->connections(),
                                 role->work->total(),
                                 leaving->begun() ? node_state::draining : node_state::running};
        },
        [this](std::vector<std::string> now) {
          const std::lock_guard lock{guard};
          alive = std::move(now);
          role->notices.set_nodes(nodes_of(config, alive));
        });
  }

  ~impl() {
    *stopping = true;
    others.reset();
    // What writes in the background ends before the heartbeat says that this server has stopped.
    sweeping.reset();
    indexing.reset();
    if (beat) beat->end();
    if (sockets) sockets->stop();
    caf::anon_send_exit(role->dispatcher(), caf::exit_reason::user_shutdown);
    system.await_all_actors_done();
    role->replace_dispatcher({});
  }
};

server_role::server_role(std::unique_ptr<impl> i) : impl_(std::move(i)) {}
server_role::~server_role() = default;

result<std::unique_ptr<server_role>> server_role::start(const config::server_config& c,
                                                        storage::sealed_store& store, clock_fn now,
                                                        std::function<std::string()> key) {
  CPNS_TRY(auto tls, crypto::tls_source::for_server("server", files_of(c.tls)));
  CPNS_CHECK(check_import_finished(store));
  CPNS_TRY(auto meta, load_meta(store, crypto::system_entropy()));
  // An import that began since then sees the row of load_meta(), or its mark is seen here.
  CPNS_CHECK(check_import_finished(store));
  auto i = std::make_unique<impl>(c, std::move(meta), store, std::move(now));
  CPNS_CHECK(i->begin_heartbeat(store, std::move(key)));
  CPNS_CHECK(i->role->known_gateways.load());
  CPNS_CHECK(i->role->batches->load());
  CPNS_TRY(i->services,
           key_services::open(c.temporary_keys, {crypto::openssl_suite(), i->role->now, i->counted}));
  CPNS_CHECK(i->services->accepts(*i->role->batches));
  i->role->temporary_keys.use(*i->services);
  CPNS_TRY(i->imports, device_imports::open(store, crypto::openssl_suite(), crypto::system_entropy(),
                                            {.devices = i->role->device_turns,
                                             .write = write_beside_others(i->role->commit),
                                             .server = c.name}));
  CPNS_CHECK(i->begin_with_others(store));
  i->indexing = std::make_unique<index_build>(store, write_beside_others(i->role->commit));
  i->sweeping = std::make_unique<index_sweep>(index_sweep::parts{
      .store = &store,
      .write = write_beside_others(i->role->commit),
      .random = &crypto::system_entropy(),
      .swept = i->counted.make_counter("cpns_server_index_rows_swept_total",
                                       "Index rows that were out of date and were dropped by the sweep.")});
  auto* raw = i.get();
  auto make_session = [raw](peer_info peer,
                            std::shared_ptr<link_port> port) -> std::shared_ptr<link_session> {
    if (*raw->stopping) return nullptr;
    auto made = raw->system.spawn(session, raw->role, peer, port);
    return front_desk::open(raw->role, std::move(peer), std::move(port), std::move(made));
  };
  CPNS_CHECK(tls->accept_psk(i->role->known_gateways.keys()));
  i->tls = tls;
  CPNS_TRY(i->sockets, listener::start(
                           c.listen.host, c.listen.port, [tls] { return tls->context(); },
                           i->current_limits(), std::move(make_session)));
  i->leaving = std::make_unique<server_drain>(*i->sockets, i->role->notices);
  i->role->notices.set_nodes(nodes_of(c, {}));
  storage::collect_store(i->counted, store, *i->committer, c.store.path);
  i->counted.collect([raw](metrics::sheet& to) { raw->collect(to); });
  // `raw` outlives the listener, whose thread runs this.
  i->sockets->every(seconds{1}, [raw] {
    raw->tls->look();
    raw->services->look();
    raw->look_at_trust();
    if (!raw->others) raw->reopened.look();
    raw->leaving->look();
    raw->role->door->end_long_waits();
    caf::anon_send(raw->role->dispatcher(), tick{});
  });
  i->run_heartbeat();
  if (i->sockets->listening())
    log::info("server", "server-listening", "gateways can connect",
              {{"address", i->sockets->address()}, {"name", c.name}});
  return std::unique_ptr<server_role>(new server_role(std::move(i)));
}

bool server_role::listening() const { return impl_->sockets->listening(); }
std::string server_role::address() const { return impl_->sockets->address(); }
std::uint16_t server_role::port() const { return impl_->sockets->port(); }
std::size_t server_role::connections() const { return impl_->sockets->connections(); }
bool server_role::failed() const { return *impl_->dead; }

boost::json::object server_role::overview() const {
  boost::json::object out{
      {"address", address()},
      {"listening", listening()},
      {"connections", connections()},
      {"gateways", boost::json::object{{"connected", impl_->role->gateways.connected()},
                                       {"blocked", impl_->role->known_gateways.blocked_count()}}},
      {"jobs", impl_->role->work->total()},
      {"admission", describe(impl_->role->door->look())},
      {"store", store_view(impl_->kind, impl_->role->store,
                           impl_->beat ? std::optional{impl_->beat->age()} : std::nullopt)}};
  if (!impl_->services->empty()) out["key_services"] = impl_->services->view();
  if (auto drain = impl_->leaving->view()) out["drain"] = std::move(*drain);
  if (impl_->beat) out["nodes"] = impl_->beat->view();
  return out;
}

metrics::registry& server_role::counted() const { return impl_->counted; }

std::vector<std::string> server_role::not_ready() const {
  std::vector<std::string> out;
  if (failed()) out.emplace_back("a part of the role failed, and the role ends");
  if (impl_->leaving->begun()) out.emplace_back("draining: the gateways go to other servers");
  if (!listening()) out.emplace_back("the address of 'listen' does not exist yet: no gateway can connect");
  if (const auto usable = impl_->tls->context(); !usable)
    out.push_back("no gateway can connect: " + usable.error().detail);
  if (const auto health = impl_->role->store.health(); !health.writable)
    out.push_back("the store accepts no writes: " + health.why);
  if (impl_->beat)
    for (auto& why : impl_->beat->not_ready()) out.push_back(std::move(why));
  return out;
}

administration& server_role::admin() { return impl_->admin; }
device_imports& server_role::imports() { return *impl_->imports; }

void server_role::drain(milliseconds timeout) {
  impl_->imports->stop();
  impl_->indexing->stop();
  if (impl_->sweeping) impl_->sweeping->stop();
  impl_->leaving->finish(timeout);
}

server_drain& server_role::leaving() { return *impl_->leaving; }
milliseconds server_role::drain_limit() const {
  std::lock_guard lock{impl_->guard};
  return impl_->config.drain;
}

void server_role::reload(const config::server_config& c) {
  std::lock_guard lock{impl_->guard};
  impl_->tls->read_again();
  impl_->services->read_again();
  config::apply_reloadable(impl_->config, c);
  impl_->sockets->set_limits(impl_->current_limits());
  impl_->role->replace_settings(settings_of(impl_->config, impl_->meta));
  impl_->users.reset(impl_->config.limits.users_cached);
  impl_->role->notices.set_nodes(nodes_of(impl_->config, impl_->alive));
}

}  // namespace cpns::server
