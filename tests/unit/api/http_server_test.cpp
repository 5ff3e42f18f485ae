#include "api/http_server.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <boost/json.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "api/body.hpp"
#include "sample_routes.hpp"
#include "server_harness.hpp"

namespace cpns::api {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr std::string_view plain_get = "GET /v1/hello HTTP/1.1\r\nHost: localhost\r\n\r\n";

TEST_F(http_harness, answers_several_requests_on_one_connection) {
  start(with({hello()}));
  raw_client c{path};
  for (int i = 0; i < 3; ++i) {
    c.forget();
    c.send(plain_get);
    const auto got = c.receive_until("}\n");
    EXPECT_THAT(got, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(got, HasSubstr("Content-Type: application/json\r\n"));
    EXPECT_THAT(got, HasSubstr(R"({"hello":"you"})"));
  }
  EXPECT_EQ(server->counters().requests, 3U);
  EXPECT_EQ(server->counters().answers[2], 3U);
}

TEST_F(http_harness, answers_problems_with_a_document) {
  start(with({hello(), set_password()}));
  const auto ask = [this](std::string_view text) {
    raw_client c{path};
    c.send(text);
    return c.receive_all();
  };
  const auto unknown = ask("GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(unknown, StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(unknown, HasSubstr("Content-Type: application/problem+json\r\n"));
  EXPECT_THAT(unknown, HasSubstr(R"("code":"no-such-path")"));
  const auto wrong_verb = ask("DELETE /v1/hello HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(wrong_verb, StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(wrong_verb, HasSubstr("Allow: GET, HEAD\r\n"));
  EXPECT_THAT(ask("BREW /v1/hello HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(ask("GET /v1/hello?a=1&a=2 HTTP/1.1\r\nHost: x\r\n\r\n"), HasSubstr(R"("code":"bad-query")"));
  EXPECT_THAT(ask("PUT /v1/users/a/password?a=1 HTTP/1.1\r\nHost: x\r\nCpns-Request-Id: r\r\n\r\n"),
              HasSubstr(R"("code":"unknown-parameter")"));
  EXPECT_THAT(ask("BREW /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(ask("hello\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(ask("GET /v1/hello HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431 "));
}

TEST_F(http_harness, refuses_a_browser_that_comes_from_another_page) {
  recorded_changes changes;
  start(with({hello(), set_password()}), {}, &changes);
  const auto ask = [this](std::string_view text) {
    raw_client c{path};
    c.send(text);
    return c.receive_until("}\n");
  };
  EXPECT_THAT(ask("GET /v1/hello HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n"),
              HasSubstr(R"("code":"foreign-origin")"));
  EXPECT_THAT(ask("GET /v1/hello HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n\r\n"),
              HasSubstr(R"("code":"foreign-origin")"));
  EXPECT_THAT(ask("GET /v1/hello HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n\r\n"),
              StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(ask("PUT /v1/users/anna/password HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"),
              HasSubstr(R"("code":"no-request-id")"));
  EXPECT_THAT(changes.lines, testing::ElementsAre(HasSubstr("refused read foreign-origin"),
                                                  HasSubstr("refused read foreign-origin"),
                                                  HasSubstr("refused user-password no-request-id")));
}

TEST_F(http_harness, records_no_read_that_names_nothing) {
  recorded_changes changes;
  start(with({hello()}), {}, &changes);
  for (const std::string target : {"/v1/nothing", "/v1/hello?a=1&a=2"}) {
    raw_client c{path};
    c.send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_THAT(c.receive_until("}\n"), HasSubstr("HTTP/1.1 40"));
  }
  EXPECT_THAT(changes.lines, testing::IsEmpty());
}

TEST_F(http_harness, records_a_change_before_and_after_it_without_its_secrets) {
  recorded_changes changes;
  start(with({set_password()}), {}, &changes);
  raw_client c{path};
  const auto put = [&c](std::string_view user) {
    const std::string body = R"({"password":"hunter2 hunter2"})";
    c.forget();
    c.send("PUT /v1/users/" + std::string{user} +
           "/password HTTP/1.1\r\nHost: localhost\r\nCpns-Request-Id: r1\r\n" +
           "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           body);
    return c.receive_until("\r\n\r\n");
  };
  const auto done = put("anna");
  EXPECT_THAT(done, StartsWith("HTTP/1.1 204 "));
  EXPECT_THAT(done, HasSubstr("Cpns-Request-Id: r1\r\n"));
  EXPECT_THAT(put("nobody"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(changes.lines,
              testing::ElementsAre(R"x(intent user-password anna {"password":"(secret)"})x", "outcome done",
                                   R"x(intent user-password nobody {"password":"(secret)"})x",
                                   "outcome state-unknown: no such user"));
}

TEST_F(http_harness, records_the_object_that_the_body_names_and_the_state_that_it_is_to_have) {
  recorded_changes changes;
  auto add = set_password();
  add.verb = verb::post;
  add.path = "/v1/users";
  add.handle = [](const request&) -> outcome { return empty_response(); };
  auto block = add;
  block.path = "/v1/gateways/{user}/block";
  block.describe = [](const request&) -> boost::json::value { return {{"blocked", false}, {"held", 3}}; };
  block.foretell = [](const request&, const boost::json::value& before) {
    auto after = before.as_object();
    after["blocked"] = true;
    return boost::json::value(std::move(after));
  };
  start(with({std::move(add), std::move(block)}), {}, &changes);
  raw_client c{path};
  const auto post = [&c](const std::string& target, const std::string& body) {
    c.forget();
    c.send("POST " + target + " HTTP/1.1\r\nHost: localhost\r\nCpns-Request-Id: r1\r\n" +
           "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           body);
    return c.receive_until("\r\n\r\n");
  };
  EXPECT_THAT(post("/v1/users", R"({"user":"bob","password":"hunter2"})"), StartsWith("HTTP/1.1 204 "));
  EXPECT_THAT(post("/v1/users", R"({"user":7})"), StartsWith("HTTP/1.1 204 "));
  EXPECT_THAT(post("/v1/gateways/hall/block", "{}"), StartsWith("HTTP/1.1 204 "));
  EXPECT_THAT(changes.lines, testing::ElementsAre(
                                 R"x(intent user-password bob {"password":"(secret)"})x", "outcome done",
                                 R"x(intent user-password  {})x", "outcome done",
                                 R"x(intent user-password hall {"blocked":true,"held":3})x", "outcome done"));
}

TEST_F(http_harness, records_no_secret_that_came_in_a_wrong_member) {
  recorded_changes changes;
  start(with({set_password()}), {}, &changes);
  for (const std::string body :
       {R"({"new_password":"hunter2 hunter2"})", R"({"user":{"password":"hunter2"}})",
        R"({"Password":["hunter2"],"password":"hunter2"})"}) {
    raw_client c{path};
    c.send("PUT /v1/users/anna/password HTTP/1.1\r\nHost: localhost\r\nCpns-Request-Id: r1\r\n"
           "Content-Type: application/json\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body);
    EXPECT_THAT(c.receive_until("\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  }
  EXPECT_EQ(changes.lines.size(), 6U);
  for (const auto& line : changes.lines) EXPECT_THAT(line, Not(HasSubstr("hunter2")));
}

TEST_F(http_harness, changes_nothing_that_it_cannot_record) {
  recorded_changes changes;
  changes.full = true;
  std::atomic<int> called = 0;
  auto r = set_password();
  r.handle = [&called](const request&) -> outcome {
    ++called;
    return empty_response();
  };
  start(with({std::move(r)}), {}, &changes);
  raw_client c{path};
  c.send("PUT /v1/users/a/password HTTP/1.1\r\nHost: x\r\nCpns-Request-Id: 1\r\nContent-Length: 0\r\n\r\n");
  const auto got = c.receive_until("}\n");
  EXPECT_THAT(got, StartsWith("HTTP/1.1 507 "));
  EXPECT_THAT(got, HasSubstr(R"("code":"audit-unwritable")"));
  EXPECT_EQ(called, 0);
}

TEST_F(http_harness, limits_a_body_by_its_announced_and_by_its_real_length) {
  auto r = set_password();
  r.body_max = 100;
  start(with({std::move(r)}));
  const std::string head = "PUT /v1/users/a/password HTTP/1.1\r\nHost: x\r\nCpns-Request-Id: 1\r\n";
  raw_client announced{path};
  announced.send(head + "Content-Length: 101\r\n\r\n" + std::string(101, ' '));
  EXPECT_THAT(announced.receive_all(), HasSubstr(R"("code":"body-too-large")"));
  raw_client chunked{path};
  chunked.send(head + "Transfer-Encoding: chunked\r\n\r\nc8\r\n" + std::string(200, ' ') + "\r\n0\r\n\r\n");
  EXPECT_THAT(chunked.receive_all(), StartsWith("HTTP/1.1 413 "));
}

TEST_F(http_harness, closes_a_client_that_is_slow) {
  start(with({hello(), set_password()}), {.request_time = milliseconds{200}, .idle_time = milliseconds{300}});
  raw_client silent{path}, slow_head{path}, slow_body{path};
  slow_head.send("GET /v1/hel");
  slow_body.send(
      "PUT /v1/users/a/password HTTP/1.1\r\nHost: x\r\nCpns-Request-Id: 1\r\nContent-Length: 10\r\n\r\n{");
  EXPECT_EQ(silent.receive_all(), "");
  EXPECT_EQ(slow_head.receive_all(), "");
  EXPECT_EQ(slow_body.receive_all(), "");
}

TEST_F(http_harness, closes_the_connection_that_is_idle_longest_for_a_new_one) {
  start(with({hello()}), {.connections = 3});
  std::vector<std::unique_ptr<raw_client>> held;
  for (int i = 0; i < 4; ++i) {
    held.push_back(std::make_unique<raw_client>(path));
    held.back()->send(plain_get);
    EXPECT_THAT(held.back()->receive_until("}\n"), StartsWith("HTTP/1.1 200 ")) << i;
  }
  EXPECT_THAT(held[0]->receive_all(), StartsWith("HTTP/1.1 200 ")) << "it was closed";
  held[3]->forget();
  held[3]->send(plain_get);
  EXPECT_THAT(held[3]->receive_until("}\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(server->counters().turned_away, 0U);
}

TEST_F(http_harness, turns_a_connection_away_while_all_others_work) {
  start(with({hello(), upload(1 << 20)}), {.connections = 2});
  const std::string head = "PUT /v1/upload HTTP/1.1\r\nHost: x\r\nCpns-Request-Id: 1\r\nExpect: "
                           "100-continue\r\nContent-Length: 5\r\n\r\n";
  std::vector<std::unique_ptr<raw_client>> busy;
  for (int i = 0; i < 2; ++i) {
    busy.push_back(std::make_unique<raw_client>(path));
    busy.back()->send(head);
    EXPECT_THAT(busy.back()->receive_until("\r\n\r\n"), StartsWith("HTTP/1.1 100 "));
  }
  raw_client third{path};
  const auto turned_away = third.receive_all();
  EXPECT_THAT(turned_away, HasSubstr(R"("code":"too-many-connections")"));
  EXPECT_THAT(turned_away, HasSubstr("all 2 connections that the API may have"));
  EXPECT_THAT(turned_away, HasSubstr("\r\nRetry-After: 1\r\nCpns-Request-Id: "));
  EXPECT_EQ(server->counters().turned_away, 1U);
  busy.front()->send("hello");
  EXPECT_THAT(busy.front()->receive_until("}\n"), HasSubstr(R"({"bytes":5})"));
  raw_client fourth{path};
  fourth.send(plain_get);
  EXPECT_THAT(fourth.receive_until("}\n"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(http_harness, streams_a_body_to_its_handler) {
  start(with({upload(1 << 20)}));
  raw_client c{path};
  c.send("PUT /v1/upload HTTP/1.1\r\nHost: x\r\nCpns-Request-Id: 1\r\nExpect: "
         "100-continue\r\nContent-Length: 500000\r\n\r\n");
  EXPECT_THAT(c.receive_until("\r\n\r\n"), StartsWith("HTTP/1.1 100 Continue"));
  c.send(std::string(500'000, 'x'));
  EXPECT_THAT(c.receive_until("}\n"), HasSubstr(R"({"bytes":500000})"));
  c.forget();
  c.send("PUT /v1/upload HTTP/1.1\r\nHost: x\r\nCpns-Request-Id: 1\r\nTransfer-Encoding: "
         "chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
  EXPECT_THAT(c.receive_until("}\n"), HasSubstr(R"({"bytes":11})"));
}

TEST_F(http_harness, tells_a_handler_that_its_body_broke_off_or_is_too_large) {
  std::mutex guard;
  std::condition_variable changed;
  std::vector<std::string> seen;
  auto r = upload(100'000);
  r.handle_stream = [&, inner = r.handle_stream](const request& asked, body_source& body) {
    auto out = inner(asked, body);
    const std::lock_guard lock{guard};
    seen.push_back(out ? "done" : out.error().code);
    changed.notify_all();
    return out;
  };
  start(with({std::move(r)}), {.part_time = milliseconds{300}});
  const std::string head = "PUT /v1/upload HTTP/1.1\r\nHost: x\r\nCpns-Request-Id: 1\r\n";
  const auto wait_for = [&](std::size_t n) {
    std::unique_lock lock{guard};
    return changed.wait_for(lock, std::chrono::seconds{20}, [&] { return seen.size() == n; });
  };
  {
    raw_client c{path};
    c.send(head + "Content-Length: 5000\r\n\r\nabc");
  }
  ASSERT_TRUE(wait_for(1));
  raw_client slow{path};
  slow.send(head + "Content-Length: 5000\r\n\r\nabc");
  ASSERT_TRUE(wait_for(2));
  raw_client large{path};
  large.send(head + "Transfer-Encoding: chunked\r\n\r\n30d40\r\n" + std::string(200'000, 'x') +
             "\r\n0\r\n\r\n");
  ASSERT_TRUE(wait_for(3));
  EXPECT_THAT(seen, testing::ElementsAre("peer-closed", "peer-timeout", "wire-oversized"));
  EXPECT_THAT(large.receive_all(), StartsWith("HTTP/1.1 413 "));
}

TEST_F(http_harness, answers_500_if_a_handler_throws) {
  start(with({get("/v1/hello", [](const request&) -> outcome { throw std::runtime_error{"broken"}; })}));
  raw_client c{path};
  c.send(plain_get);
  EXPECT_THAT(c.receive_until("}\n"), StartsWith("HTTP/1.1 500 "));
}

route events(event_hub& hub) {
  return get("/v1/events", [&hub](const request& r) -> outcome {
    response out;
    out.events = &hub;
    out.after = hub.place_of(r.last_event).value_or(hub.newest());
    if (!hub.place_of(r.last_event)) out.body = event_text(hub.id_of(out.after), "snapshot", "{}");
    return out;
  });
}

TEST_F(http_harness, streams_events_after_a_snapshot_and_resumes) {
  start(with({events(hub)}));
  hub.publish("before", "{}");
  raw_client c{path};
  c.send("GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto first = c.receive_until("data: {}\n\n");
  EXPECT_THAT(first, HasSubstr("Content-Type: text/event-stream\r\n"));
  EXPECT_THAT(first, HasSubstr("id: run1-1\nevent: snapshot\n"));
  hub.publish("one", R"({"n":1})");
  hub.publish("two", R"({"n":2})");
  EXPECT_THAT(c.receive_until(R"({"n":2})"),
              HasSubstr("id: run1-2\nevent: one\ndata: {\"n\":1}\n\nid: run1-3\nevent: two\n"));
  raw_client again{path};
  again.send("GET /v1/events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: run1-2\r\n\r\n");
  const auto rest = again.receive_until(R"({"n":2})");
  EXPECT_THAT(rest, HasSubstr("event: two"));
  EXPECT_THAT(rest, Not(HasSubstr("event: one")));
  EXPECT_THAT(rest, Not(HasSubstr("event: snapshot")));
  EXPECT_EQ(server->counters().event_readers, 2U);
}

TEST_F(http_harness, cuts_a_slow_reader_of_events_off_and_says_so) {
  start(with({events(hub)}));
  raw_client c{path};
  c.send("GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n");
  c.receive_until("event: snapshot");
  // More than the socket's buffers and the ring hold together.
  for (int i = 0; i < 400; ++i) hub.publish("flood", std::string(50'000, 'x'));
  EXPECT_THAT(c.receive_all(), HasSubstr("event: cut-off\n"));
  EXPECT_EQ(server->counters().readers_cut_off, 1U);
}

TEST_F(http_harness, sends_a_heartbeat_to_readers_of_events) {
  start(with({events(hub)}), {.heartbeat = milliseconds{50}});
  raw_client c{path};
  c.send("GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(c.receive_until("\n\n: \n\n: \n\n"), HasSubstr(": \n\n: \n\n"));
}

TEST_F(http_harness, bounds_the_readers_of_events) {
  start(with({events(hub)}), {.event_readers = 1});
  raw_client first{path};
  first.send("GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n");
  first.receive_until("snapshot");
  raw_client second{path};
  second.send("GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(second.receive_all(), HasSubstr(R"("code":"too-many-readers")"));
}

TEST_F(http_harness, leaves_places_for_commands_of_a_user_with_many_readers) {
  start(with({hello(), events(hub)}));
  constexpr std::string_view get_events = "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n";
  std::vector<raw_client> readers;
  for (int i = 0; i < 24; ++i) {
    readers.emplace_back(path);
    readers.back().send(get_events);
    ASSERT_THAT(readers.back().receive_until("snapshot"), StartsWith("HTTP/1.1 200 ")) << i;
  }
  for (int i = 0; i < 10; ++i) {
    raw_client one_more{path};
    one_more.send(get_events);
    EXPECT_THAT(one_more.receive_all(), HasSubstr(R"("code":"too-many-readers")")) << i;
  }
  raw_client command{path};
  command.send(plain_get);
  EXPECT_THAT(command.receive_until("}\n"), StartsWith("HTTP/1.1 200 "));
  readers.pop_back();
  // The server notices the end of a reader a moment later.
  const auto until = std::chrono::steady_clock::now() + seconds{10};
  while (server->counters().event_readers == 24 && std::chrono::steady_clock::now() < until)
    std::this_thread::yield();
  raw_client next{path};
  next.send(get_events);
  EXPECT_THAT(next.receive_until("snapshot"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(http_harness, ends_while_handlers_wait_and_readers_listen) {
  start(with({events(hub), upload(1 << 20)}));
  raw_client reader{path}, sender{path};
  reader.send("GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n");
  reader.receive_until("snapshot");
  sender.send("PUT /v1/upload HTTP/1.1\r\nHost: x\r\nCpns-Request-Id: 1\r\nExpect: "
              "100-continue\r\nContent-Length: 5000\r\n\r\n");
  sender.receive_until("100 Continue");
  server.reset();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(http_harness, keeps_up_with_many_clients_at_once) {
  start(with({hello(), events(hub)}), {.connections = 200, .connections_per_peer = 200});
  std::vector<std::thread> all;
  std::atomic<int> good = 0;
  for (int i = 0; i < 8; ++i)
    all.emplace_back([this, &good] {
      raw_client c{path};
      for (int n = 0; n < 100; ++n) {
        c.forget();
        c.send(plain_get);
        if (c.receive_until("}\n").find("200 OK") != std::string::npos) ++good;
        hub.publish("tick", "{}");
      }
    });
  for (auto& t : all) t.join();
  EXPECT_EQ(good, 800);
}

}  // namespace
}  // namespace cpns::api
