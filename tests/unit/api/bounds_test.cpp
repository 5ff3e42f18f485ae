// Clients that are slow, or that have no rights, on real connections: they keep nobody else out.

#include <gmock/gmock.h>

#include <boost/json.hpp>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "api/body.hpp"
#include "server_harness.hpp"

namespace cpns::api {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

route slow_upload() {
  auto out = upload();
  out.at_once = 2;
  return out;
}

std::string get_of(std::string_view path) {
  return "GET " + std::string{path} + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
}
std::string upload_of(std::size_t size) {
  return "PUT /v1/upload HTTP/1.1\r\nHost: x\r\nCpns-Request-Id: 1\r\nExpect: "
         "100-continue\r\nContent-Length: " +
         std::to_string(size) + "\r\n\r\n";
}

TEST_F(http_harness, tells_a_third_upload_to_try_later_and_answers_others_while_two_are_slow) {
  start(with({slow_upload(), hello()}));
  raw_client first{path}, second{path};
  for (auto* c : {&first, &second}) {
    c->send(upload_of(5));
    ASSERT_THAT(c->receive_until("\r\n\r\n"), StartsWith("HTTP/1.1 100 "));
    c->send("h");
  }
  for (int i = 0; i < 8; ++i) {
    raw_client more{path};
    more.send(upload_of(5) + "hello");
    const auto got = more.receive_until("}\n");
    EXPECT_THAT(got, StartsWith("HTTP/1.1 503 "));
    EXPECT_THAT(got, HasSubstr("Retry-After: 1\r\n"));
    EXPECT_THAT(got, HasSubstr(R"("code":"too-many-at-once")"));
    raw_client other{path};
    other.send(get_of("/v1/hello"));
    EXPECT_THAT(other.receive_until("}\n"), StartsWith("HTTP/1.1 200 "));
  }
  first.send("ello");
  EXPECT_THAT(first.receive_until("}\n"), HasSubstr(R"({"bytes":5})"));
  raw_client next{path};
  next.send(upload_of(5) + "hello");
  EXPECT_THAT(next.receive_until("}\n"), HasSubstr(R"({"bytes":5})"));
}

TEST_F(http_harness, gives_the_place_of_an_upload_that_broke_off_to_another) {
  start(with({slow_upload()}));
  for (int i = 0; i < 6; ++i) {
    raw_client c{path};
    c.send(upload_of(5) + "h");
    c.receive_until("\r\n\r\n");
    c.close();
  }
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  std::string got;
  while (got.find("\"bytes\":5") == std::string::npos && std::chrono::steady_clock::now() < until) {
    raw_client c{path};
    c.send(upload_of(5) + "hello");
    got = c.receive_until("}\n");
  }
  EXPECT_THAT(got, HasSubstr(R"({"bytes":5})"));
}

TEST_F(http_harness, refuses_a_body_that_comes_too_slowly_and_says_so) {
  start(with({slow_upload()}), {.part_time = milliseconds{300}, .part_size = 1000});
  raw_client slow{path};
  slow.send(upload_of(100'000));
  slow.receive_until("\r\n\r\n");
  const auto until = std::chrono::steady_clock::now() + seconds{20};
  while (slow.hears_nothing_for(milliseconds{10}) && std::chrono::steady_clock::now() < until) slow.send("x");
  EXPECT_LT(std::chrono::steady_clock::now(), until) << "a byte at a time is enough to go on";
  const auto got = slow.receive_until("}\n");
  EXPECT_THAT(got, HasSubstr("HTTP/1.1 504 "));
  EXPECT_THAT(got, HasSubstr(R"("code":"peer-timeout")"));
  EXPECT_THAT(got, HasSubstr("the body came too slowly: each 1000 bytes of it have 0 s"));
}

TEST_F(http_harness, takes_a_long_body_that_comes_fast_enough) {
  start(with({slow_upload()}), {.part_time = milliseconds{2000}, .part_size = 1000});
  raw_client c{path};
  c.send(upload_of(6000));
  c.receive_until("\r\n\r\n");
  c.forget();
  for (int i = 0; i < 6; ++i) {  // 2.5 s in all
    c.send(std::string(1000, 'x'));
    EXPECT_TRUE(i == 5 || c.hears_nothing_for(milliseconds{500}));
  }
  EXPECT_THAT(c.receive_until("}\n"), HasSubstr(R"({"bytes":6000})"));
}

TEST_F(http_harness, answers_probes_while_all_other_requests_hang) {
  std::mutex guard;
  std::condition_variable changed;
  std::size_t waiting = 0;
  bool go_on = false;
  auto stuck = hello("/v1/stuck");
  stuck.handle = [&, answer = stuck.handle](const request& r) {
    std::unique_lock lock{guard};
    ++waiting;
    changed.notify_all();
    changed.wait(lock, [&] { return go_on; });
    return answer(r);
  };
  auto live = hello("/health/live");
  live.probe = true;
  const http_limits limits;
  start(with({std::move(stuck), std::move(live)}), limits);
  std::vector<std::unique_ptr<raw_client>> all;
  for (std::size_t i = 0; i < limits.workers + 2; ++i) {
    all.push_back(std::make_unique<raw_client>(path));
    all.back()->send(get_of("/v1/stuck"));
  }
  {
    std::unique_lock lock{guard};
    ASSERT_TRUE(changed.wait_for(lock, seconds{20}, [&] { return waiting == limits.workers; }));
  }
  raw_client probe{path};
  probe.send(get_of("/health/live"));
  EXPECT_THAT(probe.receive_until("}\n"), StartsWith("HTTP/1.1 200 "));
  {
    const std::lock_guard lock{guard};
    go_on = true;
  }
  changed.notify_all();
  for (const auto& c : all) EXPECT_THAT(c->receive_until("}\n"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(http_harness, closes_connections_that_were_refused_and_stay_for_a_new_one) {
  start(with({hello()}), {.connections = 2});
  raw_client refused{path}, also_refused{path};
  for (auto* c : {&refused, &also_refused}) {
    c->send(get_of("/v1/nothing"));
    ASSERT_THAT(c->receive_until("}\n"), StartsWith("HTTP/1.1 404 "));
  }
  // They may stay for 2 s.
  const auto until = std::chrono::steady_clock::now() + seconds{1};
  std::string got;
  while (!got.starts_with("HTTP/1.1 200 ") && std::chrono::steady_clock::now() < until) {
    raw_client next{path};
    next.send(get_of("/v1/hello"));
    got = next.receive_until("}\n");
  }
  EXPECT_THAT(got, StartsWith("HTTP/1.1 200 "));
}

}  // namespace
}  // namespace cpns::api
