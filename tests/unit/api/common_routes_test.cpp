#include "api/common_routes.hpp"

#include <gmock/gmock.h>

#include <boost/json.hpp>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace cpns::api {
namespace {

using testing::HasSubstr;

class own_routes : public testing::Test {
 protected:
  own_routes() {
    table.add(common_routes({.role = "server",
                             .status =
                                 [] {
                                   return boost::json::object{{"connections", 3}};
                                 },
                             .not_ready = [this] { return reasons; },
                             .events = &hub,
                             .metrics = [] { return "cpns_ready 1\n"; }}));
    table.add({.verb = verb::put,
               .path = "/v1/things/{thing}",
               .needs = level::operator_,
               .body_max = 7,
               .action = "put"});
    table.add(list_of_routes(table));
  }
  [[nodiscard]] outcome ask(verb v, std::string_view path, text_map query = {}) const {
    const auto found = table.find(v, path);
    request r;
    r.query = std::move(query);
    return found.to->handle(r);
  }

  event_hub hub{"run1"};
  std::vector<std::string> reasons;
  route_table table;
};

TEST_F(own_routes, lists_every_route_with_its_level) {
  const auto got = ask(verb::get, "/v1/routes");
  ASSERT_TRUE(got);
  const auto listed = boost::json::parse(got->body).at("routes").as_array();
  ASSERT_EQ(listed.size(), table.all().size());
  EXPECT_EQ(boost::json::serialize(listed[0]),
            R"({"verb":"GET","path":"/health/live","level":"viewer","probe":true})");
  EXPECT_EQ(boost::json::serialize(listed[listed.size() - 2]),
            R"({"verb":"PUT","path":"/v1/things/{thing}","level":"operator","probe":false,"body_max":7})");
  EXPECT_EQ(listed.back().at("path"), "/v1/routes");
}

TEST_F(own_routes, refuses_a_parameter_on_each_of_them) {
  for (const auto& r : table.all()) {
    if (changes(r.verb)) continue;
    const auto got = ask(r.verb, r.path, {{"colour", "red"}});
    ASSERT_FALSE(got) << r.path;
    EXPECT_EQ(got.error().code, "unknown-parameter") << r.path;
  }
}

TEST_F(own_routes, is_not_ready_for_reasons) {
  EXPECT_EQ(ask(verb::get, "/health/ready")->status, 200U);
  reasons = {"the disk is full"};
  const auto got = ask(verb::get, "/health/ready");
  EXPECT_EQ(got->status, 503U);
  EXPECT_THAT(got->body, HasSubstr(R"("reasons":["the disk is full"])"));
}

TEST_F(own_routes, gives_metrics_as_text_to_probes_too) {
  const auto got = ask(verb::get, "/metrics");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(got->body, "cpns_ready 1\n");
  EXPECT_TRUE(table.find(verb::get, "/metrics").to->probe);
}

/// Metrics that a radio holds up until `release`.
class stuck_metrics : public testing::Test {
 protected:
  stuck_metrics() {
    table.add(common_routes({.role = "gateway",
                             .status = [] { return boost::json::object{}; },
                             .not_ready = [] { return std::vector<std::string>{}; },
                             .events = &hub,
                             .metrics = [this] { return collect(); }}));
  }
  std::string collect() {
    std::unique_lock lock{guard};
    ++calls;
    changed.notify_all();
    changed.wait(lock, [this] { return released; });
    return "cpns_calls " + std::to_string(calls) + "\n";
  }
  [[nodiscard]] outcome ask() const { return table.find(verb::get, "/metrics").to->handle(request{}); }
  void wait_for_collector() {
    std::unique_lock lock{guard};
    ASSERT_TRUE(changed.wait_for(lock, seconds{20}, [this] { return calls == 1; }));
  }
  void release() {
    const std::lock_guard lock{guard};
    released = true;
    changed.notify_all();
  }

  event_hub hub{"run1"};
  route_table table;
  std::mutex guard;
  std::condition_variable changed;
  int calls = 0;
  bool released = false;
};

TEST_F(stuck_metrics, are_collected_by_one_request_and_others_wait_for_a_second_in_all) {
  std::thread first{[this] { EXPECT_EQ(ask()->body, "cpns_calls 1\n"); }};
  wait_for_collector();
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) {
    const auto got = ask();
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, "state-overloaded");
    EXPECT_EQ(got.error().retry_after, 1U);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds{10}) << "each of them waited";
  release();
  first.join();
  EXPECT_EQ(calls, 1);
}

TEST_F(stuck_metrics, are_given_to_those_that_waited_and_kept_for_a_second) {
  std::thread first{[this] { EXPECT_EQ(ask()->body, "cpns_calls 1\n"); }};
  wait_for_collector();
  std::thread second{[this] { EXPECT_EQ(ask()->body, "cpns_calls 1\n"); }};
  release();
  first.join();
  second.join();
  const auto until = std::chrono::steady_clock::now() + seconds{20};
  while (ask()->body == "cpns_calls 1\n" && std::chrono::steady_clock::now() < until)
    std::this_thread::yield();
  EXPECT_EQ(calls, 2) << "values are not kept for ever";
}

TEST_F(own_routes, begins_events_with_the_state) {
  const auto got = ask(verb::get, "/v1/events");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->body, "id: run1-0\nevent: snapshot\ndata: {\"connections\":3,\"role\":\"server\"}\n\n");
}

TEST(status, shows_the_doors_that_are_open) {
  event_hub hub{"run1"};
  const auto places = std::make_shared<doors>();
  route_table table;
  table.add(common_routes({.role = "pne",
                           .status = [] { return boost::json::object{}; },
                           .not_ready = [] { return std::vector<std::string>{}; },
                           .events = &hub,
                           .doors = places}));
  const auto ask = [&table] { return table.find(verb::get, "/v1/status").to->handle(request{})->body; };
  EXPECT_EQ(ask(), "{\"role\":\"pne\",\"doors\":{\"socket\":null,\"listen\":null,\"probes\":null}}\n");
  places->set(&doors::places::listen, "[::1]:7480");
  EXPECT_THAT(ask(), HasSubstr(R"("listen":"[::1]:7480")"));
}

}  // namespace
}  // namespace cpns::api
