// Servers of one store tell each other of their gateways, and close connections for each other.
#include <algorithm>
#include <boost/json.hpp>
#include <thread>

#include "server/administration.hpp"
#include "server/gateway_orders.hpp"
#include "server/other_servers.hpp"
#include "server/presence_writer.hpp"
#include "server/store_admin.hpp"
#include "tests/support/key_file.hpp"
#include "tests/support/seeded_entropy.hpp"
#include "tests/unit/server/role_harness.hpp"

namespace cpns::server_tests {
namespace {

using namespace server;
using steady_point = std::chrono::steady_clock::time_point;

const gateway_name lobby = gateway_name::parse("urn:cpns:gw:hall").value();

class port_that_counts final : public link_port {
 public:
  void send(secret_bytes) override {}
  void notify(bytes) override {}
  void needs_no_answer() override {}
  void close(std::string) override { ++closed; }
  std::atomic<int> closed = 0;
};

peer_info peer_at(const std::string& uri, const std::string& address = "192.0.2.7:1") {
  peer_info out;
  out.gw = gateway_named(uri);
  out.uri = uri;
  out.address = address;
  out.protocol = "cpns/1.1";
  return out;
}

/// A store and its servers, whose writes are counted.
struct shared_rows {
  test::seeded_entropy random{7};
  storage::memory_store memory{true};
  std::unique_ptr<storage::key_protector> protector = test::key_file_protector(random);
  std::unique_ptr<storage::sealed_store> sealed =
      storage::sealed_store::open(memory, *protector, random).value();
  std::vector<seen_node> nodes;
  steady_point now{std::chrono::hours{1}};
  int commits = 0;
  bool fails = false;
  bool holds = false;
  std::vector<std::function<void()>> held;  ///< writes that are not durable yet

  std::function<steady_point()> clock() {
    return [this] { return now; };
  }
  std::function<std::vector<seen_node>()> seen_by(const std::string& node) {
    return [this, node] {
      auto out = nodes;
      for (auto& n : out) n.self = n.row.name == node;
      return out;
    };
  }
};

/// What a server has of itself, without its sockets.
struct one_server {
  shared_rows& shared;
  std::string name;
  byte_array<16> start;
  user_directory users{*shared.sealed, crypto::openssl_suite(), {}, 0};
  temporary_key_table devices;
  role_context role;
  presence_writer writer;
  other_gateways others;
  gateway_orders orders;
  std::vector<std::shared_ptr<port_that_counts>> ports;
  std::map<std::string, gateway_register::ticket> tickets;

  one_server(shared_rows& s, std::string n)
      : shared(s), name(std::move(n)), start(s.random.draw<16>()),
        role(
            *s.sealed,
            [&s](storage::sealed_batch b, storage::commit_done done) {
              ++s.commits;
              if (s.holds) return s.held.push_back([&s, b, done] { done(s.sealed->write(b)); });
              done(s.fails ? status{fail(errc::store_unavailable, "gone")} : s.sealed->write(b));
            },
            [&s](const std::vector<storage::row_name>& names, const storage::read_done& done) {
              done(s.sealed->read(names));
            },
            users, devices, crypto::openssl_suite(), s.random, now_wall, std::make_shared<actor_settings>()),
        writer(role, name, start, s.clock()), others(*s.sealed, s.seen_by(name), s.clock()),
        orders(role, name, start, s.seen_by(name)) {
    seen_node seen;
    seen.row.name = name;
    seen.row.start = start;
    s.nodes.push_back(seen);
    EXPECT_TRUE(orders.begin());
  }
  port_that_counts& enter(const std::string& uri, time_point since = time_point(seconds{1'000'000})) {
    ports.push_back(std::make_shared<port_that_counts>());
    tickets[uri] = role.gateways.enter(since, peer_at(uri), ports.back());
    return *ports.back();
  }
  void leave(const std::string& uri) { role.gateways.leave(gateway_named(uri), tickets.at(uri)); }
  /// After the times of both sides.
  void look() {
    shared.now += std::max(presence_writer::interval, other_gateways::kept);
    writer.look();
  }
  std::size_t seen_elsewhere() { return others.look().value()->size(); }
};

TEST(other_gateways, are_those_of_servers_that_live) {
  shared_rows s;
  one_server a{s, "a"}, b{s, "b"};
  b.enter("urn:cpns:gw:hall", time_point(seconds{1'700'000'000}));
  b.look();
  const auto all = a.others.look().value();
  ASSERT_TRUE(all->contains(lobby.gw));
  const auto& place = all->at(lobby.gw).front();
  EXPECT_EQ(place.node, "b");
  ASSERT_EQ(place.what.connections.size(), 1u);
  EXPECT_EQ(place.what.connections[0].address, "192.0.2.7:1");
  EXPECT_EQ(place.what.connections[0].protocol, "cpns/1.1");
  EXPECT_EQ(place.what.connections[0].since, time_point(seconds{1'700'000'000}));
  EXPECT_EQ(b.seen_elsewhere(), 0u) << "its own are not elsewhere";
  s.nodes[1].is = seen_node::life::silent;
  a.look();
  EXPECT_EQ(a.seen_elsewhere(), 0u) << "a server whose heartbeat ended has no gateways";
  s.nodes[1].is = seen_node::life::alive;
  a.look();
  EXPECT_EQ(a.seen_elsewhere(), 1u);
  s.nodes[1].row.start = s.random.draw<16>();
  a.look();
  EXPECT_EQ(a.seen_elsewhere(), 0u) << "the pages of a former process do not count";
}

TEST(other_gateways, cost_a_write_per_page_and_not_per_connection) {
  shared_rows s;
  one_server a{s, "a"}, b{s, "b"};
  b.look();
  EXPECT_EQ(s.commits, 1) << "its empty page";
  constexpr int herd = 3000;
  for (int i = 0; i < herd; ++i) b.enter("urn:cpns:gw:" + std::to_string(i));
  b.look();
  EXPECT_EQ(s.commits, 33) << "32 pages; one write each";
  EXPECT_EQ(a.seen_elsewhere(), static_cast<std::size_t>(herd));
  b.look();
  EXPECT_EQ(s.commits, 33) << "nothing changed";
  b.leave("urn:cpns:gw:17");
  b.look();
  EXPECT_EQ(s.commits, 34);
  EXPECT_EQ(a.seen_elsewhere(), static_cast<std::size_t>(herd - 1));
  (void)b.role.gateways.used(now_wall(), gateway_named("urn:cpns:gw:18"), b.tickets.at("urn:cpns:gw:18"), 5);
  b.look();
  EXPECT_EQ(s.commits, 34) << "the load alone waits";
  s.now += presence_writer::load_interval;
  b.look();
  EXPECT_EQ(s.commits, 35);
  const auto all = a.others.look().value();
  EXPECT_EQ(all->at(gateway_named("urn:cpns:gw:18")).front().what.requests_per_minute, 5u);
}

TEST(other_gateways, are_all_seen_while_the_number_of_pages_grows) {
  shared_rows s;
  one_server a{s, "a"}, b{s, "b"};
  std::size_t seen = 0;
  constexpr std::size_t herd = 10'000;
  for (std::size_t i = 0; i < 100; ++i) b.enter("urn:cpns:gw:" + std::to_string(i));
  b.look();
  for (std::size_t i = 100; i < herd; ++i) b.enter("urn:cpns:gw:" + std::to_string(i));
  int looks = 0;
  for (; looks < 10 && seen < herd; ++looks) {
    b.look();
    const auto now = a.seen_elsewhere();
    EXPECT_GE(now, std::max(seen, std::size_t{100})) << "none is missed on the way";
    seen = now;
  }
  EXPECT_EQ(seen, herd);
  EXPECT_LE(looks, 5) << "128 pages, 32 in each look";
}

TEST(other_gateways, are_all_seen_when_later_writes_are_durable_first) {
  shared_rows s;
  one_server a{s, "a"}, b{s, "b"};
  constexpr std::size_t few = 100, herd = 1500;
  for (std::size_t i = 0; i < few; ++i) b.enter("urn:cpns:gw:" + std::to_string(i));
  b.look();
  for (std::size_t i = few; i < herd; ++i) b.enter("urn:cpns:gw:" + std::to_string(i));
  s.holds = true;
  int looks = 0;
  for (; looks < 10 && a.seen_elsewhere() < herd; ++looks) {
    b.look();
    for (; !s.held.empty(); s.now += other_gateways::kept) {
      const auto last = std::move(s.held.back());
      s.held.pop_back();
      last();
      EXPECT_GE(a.seen_elsewhere(), few) << "none is missed on the way";
    }
  }
  EXPECT_LE(looks, 4) << "new pages, the first page, the others";
}

TEST(other_gateways, are_seen_if_they_fill_many_pages_before_the_first_one_is_durable) {
  constexpr std::size_t herd = 1500;
  for (const bool fails : {false, true}) {
    shared_rows s;
    one_server a{s, "a"}, b{s, "b"};
    s.fails = fails;
    if (fails) b.look();
    s.fails = false;
    for (std::size_t i = 0; i < herd; ++i) b.enter("urn:cpns:gw:" + std::to_string(i));
    for (int looks = 0; looks < 4; ++looks) b.look();
    EXPECT_EQ(a.seen_elsewhere(), herd) << fails;
  }
}

TEST(other_gateways, miss_none_if_the_first_page_is_durable_late) {
  shared_rows s;
  one_server a{s, "a"}, b{s, "b"};
  constexpr std::size_t few = 100, herd = 1500, more = 3000;
  const auto make_durable = [&s] {
    for (auto held = std::exchange(s.held, {}); const auto& write : held) write();
  };
  const auto enter = [&b](std::size_t from, std::size_t to) {
    for (; from < to; ++from) b.enter("urn:cpns:gw:" + std::to_string(from));
  };
  enter(0, few);
  b.look();
  enter(few, herd);
  s.holds = true;
  b.look();
  make_durable();  // the new pages
  b.look();
  ASSERT_EQ(s.held.size(), 1u) << "page 0, which tells of them";
  const auto late = std::exchange(s.held, {});
  enter(herd, more);
  for (int looks = 0; looks < 3; ++looks) {
    b.look();
    make_durable();
  }
  late.front()();
  s.now += other_gateways::kept;
  EXPECT_EQ(a.seen_elsewhere(), herd);
  for (int looks = 0; looks < 4; ++looks) {
    b.look();
    make_durable();
  }
  EXPECT_EQ(a.seen_elsewhere(), more);
}

TEST(other_gateways, are_written_again_after_a_failed_write) {
  shared_rows s;
  one_server a{s, "a"}, b{s, "b"};
  b.enter("urn:cpns:gw:hall");
  s.fails = true;
  b.look();
  EXPECT_EQ(a.seen_elsewhere(), 0u);
  s.fails = false;
  b.look();
  EXPECT_EQ(a.seen_elsewhere(), 1u);
  b.leave("urn:cpns:gw:hall");
  b.writer.look();
  EXPECT_EQ(a.seen_elsewhere(), 1u) << "what was written and read is used again for half a second";
  a.look();
  b.look();
  a.look();
  EXPECT_EQ(a.seen_elsewhere(), 0u);
}

TEST(presence_page, that_is_damaged_is_refused) {
  presence_page p;
  p.gateways.push_back({lobby.gw, {{"192.0.2.7:1", time_point(seconds{9}), 3, "cpns/1"}}, 4, 5});
  const auto whole = to_bytes(encode(p).expose());
  const auto again = decode_presence_page(whole).value();
  EXPECT_EQ(again.gateways[0].in_flight, 5u);
  EXPECT_EQ(again.gateways[0].connections[0].requests, 3u);
  for (std::size_t cut = 0; cut < whole.size(); ++cut)
    EXPECT_EQ(decode_presence_page(byte_view(whole).first(cut)).error().code, errc::store_damaged);
}

TEST(gateway_orders, close_the_connections_at_all_other_servers_once) {
  shared_rows s;
  one_server a{s, "a"}, b{s, "b"}, c{s, "c"};
  auto& at_b = b.enter("urn:cpns:gw:hall");
  auto& other = b.enter("urn:cpns:gw:roof");
  auto& at_c = c.enter("urn:cpns:gw:hall");
  std::atomic<bool> end = false;
  std::thread others{[&] {
    while (!end)
      for (auto* n : {&b, &c}) {
        const auto row = s.sealed->read_one(orders_row().table, orders_row().row).value();
        if (n->orders.behind(row.version)) {
          EXPECT_TRUE(n->orders.obey());
        }
      }
  }};
  const auto done = a.orders.close(lobby.gw, seconds{5}).value();
  end = true;
  others.join();
  EXPECT_EQ(done.closed, 2u);
  EXPECT_TRUE(done.unconfirmed.empty());
  EXPECT_EQ(at_b.closed, 1);
  EXPECT_EQ(at_c.closed, 1);
  EXPECT_EQ(other.closed, 0);
  EXPECT_TRUE(b.orders.obey());
  EXPECT_EQ(at_b.closed, 1) << "once";
  one_server d{s, "d"};
  auto& at_d = d.enter("urn:cpns:gw:hall");
  EXPECT_TRUE(d.orders.obey());
  EXPECT_EQ(at_d.closed, 0) << "an order that is older than the process";
}

TEST(gateway_orders, name_the_servers_that_live_and_do_not_confirm) {
  shared_rows s;
  one_server a{s, "a"}, b{s, "b"}, c{s, "c"};
  s.nodes[2].is = seen_node::life::silent;
  auto& at_b = b.enter("urn:cpns:gw:hall");
  const auto done = a.orders.close(lobby.gw, seconds{5}).value();
  EXPECT_EQ(done.closed, 0u);
  EXPECT_EQ(done.unconfirmed, std::vector<std::string>{"b"}) << "nobody waits for a silent one";
  EXPECT_TRUE(b.orders.obey());
  EXPECT_EQ(at_b.closed, 1) << "it obeys when it can read again";
  EXPECT_TRUE(a.orders.obey());
}

/// Its looks are an hour apart, so that nothing but a hint makes it look.
TEST(hints, make_a_server_look_at_once) {
  shared_rows s;
  one_server a{s, "a"}, b{s, "b"};
  reopened_store reopened{b.role};
  ASSERT_TRUE(b.role.known_gateways.load());
  b.role.orders = std::shared_ptr<gateway_orders>(&b.orders, [](auto*) {});
  const other_servers looking{b.role, reopened, presence_writer{b.role, "b", b.start, s.clock()},
                              std::chrono::hours{1}};
  auto& at_b = b.enter("urn:cpns:gw:hall");
  const auto done = a.orders.close(lobby.gw, seconds{5}).value();
  EXPECT_EQ(done.closed, 1u);
  EXPECT_EQ(at_b.closed, 1);
  ASSERT_TRUE(block_gateway(*s.sealed, lobby.gw, lobby.uri, 1));
  const auto until = std::chrono::steady_clock::now() + seconds{20};
  while (!b.role.known_gateways.blocked(lobby.gw) && std::chrono::steady_clock::now() < until)
    std::this_thread::yield();
  EXPECT_TRUE(b.role.known_gateways.blocked(lobby.gw));
}

/// With sockets: the first role of the harness and a second one.
TEST(other_gateways, are_listed_and_disconnected_at_any_server) {
  role_harness p{false, true};
  auto config = p.config;
  config.name = "second";
  const auto rows = storage::sealed_store::open(p.memory, *p.protector, crypto::system_entropy()).value();
  const auto second = server_role::start(config, *rows).value();
  gateway_end g{second->port(), crypto::make_client_tls(p.home.client).value()};
  ASSERT_TRUE(g.connected()) << g.error();
  auto& admin = p.role->admin();
  const auto until = std::chrono::steady_clock::now() + seconds{20};
  const auto connections = [&] {
    const auto seen = admin.gateway(lobby.gw);
    return seen ? seen->at("connections").as_array() : boost::json::array{};
  };
  while (connections().empty() && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  ASSERT_EQ(connections().size(), 1u);
  EXPECT_EQ(connections()[0].at("node").as_string(), "second");
  const auto listed = admin.gateways({}, {lobby.uri, gateway_state::connected}).value();
  EXPECT_EQ(listed.at("gateways").as_array().size(), 1u);
  const auto done = admin.disconnect(lobby).value();
  EXPECT_EQ(done.closed, 1u);
  EXPECT_TRUE(done.unconfirmed.empty());
  EXPECT_TRUE(g.wait_closed());
  while (!connections().empty() && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_TRUE(connections().empty());
}

}  // namespace
}  // namespace cpns::server_tests
