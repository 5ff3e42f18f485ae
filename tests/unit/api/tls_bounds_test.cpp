// The bounds of the port with TLS: handshakes, clients, time, and its end while all of that is in progress.

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <random>
#include <thread>

#include "base/dial.hpp"
#include "slow_resolver.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tls_harness.hpp"

namespace cpns::api {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

/// A TCP connection that has sent the first `n` bytes of a ClientHello.
descriptor half_open(std::uint16_t port, std::size_t n) {
  // A record of 512 bytes with a ClientHello of 508 is announced.
  static constexpr std::string_view begin{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11};
  auto met = reach("127.0.0.1", port, std::chrono::steady_clock::now() + seconds{10});
  EXPECT_TRUE(met) << met.error().message();
  if (!met) return {};
  if (n > 0) {
    EXPECT_EQ(::send(met->socket.get(), begin.data(), n, MSG_NOSIGNAL), static_cast<ssize_t>(n));
  }
  return std::move(met->socket);
}

/// Waits until the server closes.
bool was_closed(const descriptor& d) {
  pollfd p{d.get(), POLLIN, 0};
  std::array<char, 64> part{};
  while (::poll(&p, 1, 20'000) == 1) {
    const auto n = ::recv(d.get(), part.data(), part.size(), 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) return true;
  }
  return false;
}

TEST_F(tls_door_test, closes_a_handshake_that_is_too_slow) {
  start({.handshake_time = milliseconds{200}});
  const auto silent = half_open(port(), 0);
  EXPECT_TRUE(was_closed(silent));
  EXPECT_THAT(log.text(), Not(HasSubstr("api-client-refused"))) << "a health check is not a fault";
  const auto slow = half_open(port(), 7);
  EXPECT_TRUE(was_closed(slow));
  EXPECT_TRUE(log.says("the handshake took too long"));
  EXPECT_EQ(server->counters().handshakes, 0U);
  auto wanted = decltype(http_counters::handshake_ends){};
  wanted[index_of(handshake_end::timeout)] = 1;
  EXPECT_EQ(server->counters().handshake_ends, wanted);
}

TEST_F(tls_door_test, lets_a_client_in_while_others_hold_all_handshakes) {
  start({.handshakes = 4});
  std::vector<descriptor> held;
  for (int i = 0; i < 12; ++i) held.push_back(half_open(port(), 5));
  EXPECT_EQ(ask(admin("anna"), verb::get, "/v1/hello"), 200U);
  EXPECT_TRUE(log.says("too many handshakes are in progress"));
  EXPECT_LE(server->counters().handshakes, 4U);
  EXPECT_TRUE(was_closed(held.front()));
  EXPECT_EQ(server->counters().handshake_ends[index_of(handshake_end::accepted)], 1U);
  EXPECT_GE(server->counters().handshake_ends[index_of(handshake_end::displaced)], 1U);
}

TEST_F(tls_door_test, turns_a_client_away_whose_other_connections_all_work) {
  start({.connections_per_peer = 2});
  const auto anna = admin("anna");
  const auto events = "GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port()) + "\r\n\r\n";
  tls_raw one{port(), context_of(anna)}, two{port(), context_of(anna)};
  for (auto* c : {&one, &two}) {
    ASSERT_TRUE(c->send(events));
    c->receive_until("snapshot");
  }
  tls_raw third{port(), context_of(anna)};
  EXPECT_THAT(third.receive_all(), HasSubstr(R"("code":"too-many-connections")"));
  EXPECT_TRUE(third.ended_properly());
  EXPECT_EQ(ask(admin("berta"), verb::get, "/v1/hello"), 200U) << "another client has places of its own";
}

TEST_F(tls_door_test, says_goodbye_to_an_idle_client_and_to_one_with_an_old_handshake) {
  start({.idle_time = milliseconds{300}});
  tls_raw idle{port(), context_of(admin("anna"))};
  ASSERT_TRUE(idle.send(hello()));
  EXPECT_THAT(idle.receive_all(), HasSubstr("HTTP/1.1 200 "));
  EXPECT_TRUE(idle.ended_properly());
  start({.certificate_time = milliseconds{0}});
  tls_raw old{port(), context_of(admin("anna"))};
  ASSERT_TRUE(old.send(hello()));
  EXPECT_THAT(old.receive_all(), HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(old.ended_properly());
}

TEST_F(tls_door_test, serves_two_hundred_clients_at_a_time) {
  start({.connections = 256, .connections_per_peer = 256});
  const auto anna = admin("anna");
  std::atomic<int> good = 0;
  std::vector<std::thread> all;
  std::mutex guard;
  std::vector<std::unique_ptr<tls_raw>> held;
  for (int t = 0; t < 8; ++t)
    all.emplace_back([&] {
      for (int i = 0; i < 25; ++i) {
        auto c = std::make_unique<tls_raw>(port(), context_of(anna));
        if (c->send(hello()) && c->receive_until("}\n").starts_with("HTTP/1.1 200 ")) ++good;
        const std::lock_guard lock{guard};
        held.push_back(std::move(c));
      }
    });
  for (auto& t : all) t.join();
  EXPECT_EQ(good, 200);
  EXPECT_EQ(server->counters().connections, 200U);
  for (auto& c : held) {
    c->forget();
    ASSERT_TRUE(c->send(hello()));
    EXPECT_THAT(c->receive_until("}\n"), StartsWith("HTTP/1.1 200 "));
  }
}

TEST_F(tls_door_test, ends_while_handshakes_requests_and_readers_are_in_progress) {
  const auto anna = admin("anna");
  std::mt19937 dice{4711};
  for (int round = 0; round < 20; ++round) {
    start();
    const auto at = port();
    std::vector<descriptor> held;
    for (std::size_t i = 0; i < 6; ++i) held.push_back(half_open(at, i * 2));
    std::atomic<int> begun = 0;
    std::vector<std::thread> clients;
    for (int t = 0; t < 4; ++t)
      clients.emplace_back([&, t] {
        ++begun;
        for (int i = 0; i < 5; ++i) {
          auto c = client::connect({"127.0.0.1", at}, anna);
          if (!c) return;
          if (t == 0)
            (void)c->events("/v1/events", {}, [](auto, auto, auto) { return true; });
          else if (!c->ask(verb::get, "/v1/hello"))
            return;
        }
      });
    while (begun < 4) std::this_thread::yield();
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds{dice() % 15'000};
    while (std::chrono::steady_clock::now() < until) hub.publish("tick", "{}");
    server.reset();
    for (auto& c : clients) c.join();
    for (const auto& h : held) EXPECT_TRUE(was_closed(h));
  }
}

TEST_F(tls_door_test, says_that_a_body_came_too_slowly_and_then_goodbye) {
  start({.part_time = milliseconds{300}, .part_size = 1000});
  tls_raw slow{port(), context_of(admin("anna"))};
  ASSERT_TRUE(slow.send("PUT /v1/upload HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port()) +
                        "\r\nCpns-Request-Id: 1\r\nContent-Length: 5000\r\n\r\nx"));
  EXPECT_THAT(slow.receive_all(), HasSubstr("the body came too slowly"));
  EXPECT_TRUE(slow.ended_properly());
}

TEST_F(tls_door_test, keeps_places_for_administrators_however_many_clients_have_no_rights) {
  settings.certificates = {{"urn:cpns:admin:anna", config::api_level::admin}};
  start({.connections = 4, .connections_per_peer = 2});
  std::vector<std::unique_ptr<tls_raw>> held;
  for (int i = 0; i < 8; ++i) {
    held.push_back(std::make_unique<tls_raw>(port(), context_of(admin("stranger" + std::to_string(i)))));
    ASSERT_TRUE(held.back()->send(hello()));
    EXPECT_THAT(held.back()->receive_until("}\n"), HasSubstr(R"("code":"forbidden")")) << i;
  }
  tls_raw one{port(), context_of(admin("anna"))}, two{port(), context_of(admin("anna"))};
  for (auto* c : {&one, &two}) {
    ASSERT_TRUE(c->send(hello()));
    EXPECT_THAT(c->receive_until("}\n"), StartsWith("HTTP/1.1 200 "));
  }
  EXPECT_LE(server->counters().connections, 4U);
  EXPECT_EQ(server->counters().turned_away, 0U);
}

TEST_F(tls_door_test, answers_on_its_unix_socket_while_a_name_server_does_not_answer) {
  settings.listen = config::address{std::string{slow_resolver::slow_host}, 0};
  const test::temporary_folder folder;
  settings.socket = folder / "s";
  slow_resolver::hold(false);
  start();
  EXPECT_TRUE(log.says("api-not-listening"));
  slow_resolver::hold(true);
  ASSERT_TRUE(slow_resolver::wait_until_held()) << "the name is looked up again";
  auto c = client::connect(settings.socket->string());
  ASSERT_TRUE(c) << c.error().message();
  const auto got = c->ask(verb::get, "/v1/hello");
  const bool still_held = slow_resolver::held();
  slow_resolver::hold(false);
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->status, 200U);
  EXPECT_TRUE(still_held);
}

TEST_F(tls_door_test, waits_for_an_address_that_does_not_exist_yet) {
  settings.listen = config::address{"192.0.2.1", 7480};  // of no machine (RFC 5737)
  start();
  EXPECT_TRUE(log.says("api-not-listening"));
  EXPECT_EQ(port(), 0U);
  EXPECT_EQ(places->now().listen, "");
}

TEST_F(tls_door_test, has_a_client_that_knows_the_role_by_its_host) {
  start();
  const auto anna = admin("anna");
  const auto why = [&](const config::address& to, const crypto::tls_files& files) {
    auto c = client::connect(to, files);
    return c ? std::string{"connected"} : c.error().message();
  };
  EXPECT_EQ(why({"localhost", port()}, anna), "connected");
  EXPECT_THAT(why({"127.0.0.2", port()}, anna), HasSubstr("no role listens at 127.0.0.2:"));
  (void)files_of("door", crypto::request_for(crypto::certificate_usage::server, "urn:cpns:server:one"));
  ASSERT_TRUE(server->reload(settings));
  EXPECT_THAT(why({"127.0.0.1", port()}, anna), HasSubstr("the peer's certificate is for another host"));
  EXPECT_THAT(why({"localhost", port()}, anna), HasSubstr("the peer's certificate is for another host"));
  auto stranger = anna;
  stranger.ca = home.write("other.crt", crypto::make_ca("another CA", 2).value().certificate_pem, 0644);
  EXPECT_THAT(why({"127.0.0.1", port()}, stranger), HasSubstr("comes from an unknown CA"));
  const auto gone = port();
  server.reset();
  EXPECT_THAT(why({"127.0.0.1", gone}, anna), HasSubstr("no role listens at 127.0.0.1:"));
}

}  // namespace
}  // namespace cpns::api
