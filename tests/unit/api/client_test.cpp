#include "api/client.hpp"

#include <algorithm>
#include <boost/json.hpp>

#include "api/body.hpp"
#include "server_harness.hpp"

namespace cpns::api {
namespace {

using client_harness = http_harness;

route echo() {
  return {.verb = verb::post,
          .path = "/v1/echo/{what}",
          .handle = [](const request& r) -> outcome {
            response out;
            out.status = 201;
            out.type = "text/plain";
            out.body = r.at("what") + ":" + std::string{as_text(r.body.expose())};
            return out;
          },
          .action = "echo"};
}

route count() {
  return {.verb = verb::put,
          .path = "/v1/count",
          .handle_stream = [](const request&, body_source& body) -> outcome {
            std::uint64_t n = 0;
            bytes part(100);
            for (;;) {
              CPNS_TRY(const auto got, body.read(part));
              n += got;
              if (got == 0) return json_response(boost::json::object{{"bytes", n}});
              if (n > 50'000) return refuse(409, "enough", "enough of it", "rows");
            }
          },
          .body_max = 1 << 20,
          .action = "count"};
}

route_table routes() {
  route_table t;
  t.add(std::vector<route>{echo(), count()});
  return t;
}

/// `all` bytes in parts.
std::function<result<std::size_t>(std::span<std::uint8_t>)> source_of(std::size_t all) {
  return [all](std::span<std::uint8_t> to) mutable -> result<std::size_t> {
    const auto n = std::min(all, to.size());
    std::fill_n(to.begin(), n, std::uint8_t{'x'});
    all -= n;
    return n;
  };
}

TEST_F(client_harness, sends_bodies_and_reads_answers) {
  start(routes());
  auto c = client::connect(path).value();
  for (int i = 0; i < 2; ++i) {
    const auto got =
        c.ask(verb::post, "/v1/echo/a%20b", {.type = "text/plain", .content = secret_bytes::from_text("hi")});
    ASSERT_TRUE(got) << got.error().message();
    EXPECT_EQ(got->status, 201U);
    EXPECT_EQ(got->body, "a b:hi");
  }
}

TEST_F(client_harness, streams_a_body) {
  start(routes());
  auto c = client::connect(path).value();
  const auto got = c.ask(verb::put, "/v1/count", {.type = "text/csv", .source = source_of(40'000)});
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->body, "{\"bytes\":40000}\n");
}

TEST_F(client_harness, reads_the_problem_of_a_role_that_refuses_in_mid_stream) {
  start(routes());
  auto c = client::connect(path).value();
  const auto got = c.ask(verb::put, "/v1/count", {.type = "text/csv", .source = source_of(900'000)});
  ASSERT_TRUE(got) << got.error().message();
  const auto p = problem_of(*got);
  EXPECT_EQ(p.code, "enough");
  EXPECT_EQ(p.detail, "enough of it");
  EXPECT_EQ(p.field, "rows");
}

TEST_F(client_harness, tells_that_no_role_listens) {
  EXPECT_EQ(client::connect(path).error().code, errc::peer_closed);
  EXPECT_EQ(client::connect(std::string(200, 'x')).error().code, errc::config_range);
}

TEST_F(client_harness, reads_events_until_it_has_enough) {
  route_table t;
  t.add({.verb = verb::get, .path = "/v1/events", .handle = [this](const request&) -> outcome {
           response out;
           out.events = &hub;
           out.body = event_text("run1-0", "snapshot", "{}");
           return out;
         }});
  start(std::move(t));
  hub.publish("one", R"({"n":1})");
  hub.publish("two", R"({"n":2})");
  auto c = client::connect(path).value();
  std::vector<std::string> seen;
  const auto got =
      c.events("/v1/events", {}, [&](std::string_view id, std::string_view name, std::string_view data) {
        seen.push_back(std::string{id} + " " + std::string{name} + " " + std::string{data});
        return seen.size() < 3;
      });
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(seen, (std::vector<std::string>{"run1-0 snapshot {}", R"(run1-1 one {"n":1})",
                                            R"(run1-2 two {"n":2})"}));
}

}  // namespace
}  // namespace cpns::api
