// Answers that are sent in parts, and levels that do not come from the configuration.

#include <gmock/gmock.h>

#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <new>
#include <thread>

#include "api/http_server.hpp"
#include "sample_routes.hpp"
#include "server_harness.hpp"

namespace cpns::api {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr std::string_view get_hello = "GET /v1/hello HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// `number` parts of `size` bytes each, then the end or an error.
class some_parts final : public part_source {
 public:
  some_parts(std::size_t number, std::size_t size, bool fails) : left_(number), size_(size), fails_(fails) {}
  result<std::string> next() override {
    if (left_ == 0 && fails_) return fail(errc::store_unavailable);
    return left_-- == 0 ? std::string{} : std::string(size_, 'x');
  }

 private:
  std::size_t left_;
  const std::size_t size_;
  const bool fails_;
};

route in_parts(std::size_t number, std::size_t size, bool fails = false) {
  return get("/v1/parts", [=](const request&) -> outcome {
    response r;
    r.parts = std::make_shared<some_parts>(number, size, fails);
    return r;
  });
}

constexpr std::string_view get_parts = "GET /v1/parts HTTP/1.1\r\nHost: localhost\r\n\r\n";

TEST_F(http_harness, sends_an_answer_in_parts_and_keeps_the_connection) {
  start(with({in_parts(2, 16), hello()}));
  raw_client c{path};
  for (int i = 0; i < 2; ++i) {
    c.forget();
    c.send(get_parts);
    const auto got = c.receive_until("\r\n0\r\n\r\n");
    EXPECT_THAT(got, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(got, HasSubstr("Transfer-Encoding: chunked\r\n"));
    EXPECT_THAT(got, HasSubstr("Cache-Control: no-store\r\n"));
    const auto one = "10\r\n" + std::string(16, 'x') + "\r\n";
    EXPECT_THAT(got, testing::EndsWith("\r\n\r\n" + one + one + "0\r\n\r\n"));
  }
  c.forget();
  c.send(get_hello);
  EXPECT_THAT(c.receive_until("}\n"), HasSubstr(R"({"hello":"you"})"));
  EXPECT_EQ(server->counters().answers[2], 3U);
}

TEST_F(http_harness, sends_parts_without_chunks_to_a_client_of_http_1_0) {
  start(with({in_parts(3, 16)}));
  raw_client c{path};
  c.send("GET /v1/parts HTTP/1.0\r\n\r\n");
  const auto got = c.receive_all();
  EXPECT_THAT(got, Not(HasSubstr("Transfer-Encoding")));
  EXPECT_THAT(got, testing::EndsWith("\r\n\r\n" + std::string(48, 'x')));
}

TEST_F(http_harness, leaves_the_parts_out_for_a_head) {
  start(with({in_parts(3, 16), hello()}));
  raw_client c{path};
  c.send("HEAD /v1/parts HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_THAT(c.receive_until("\r\n\r\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
  c.forget();
  c.send(get_hello);
  EXPECT_THAT(c.receive_until("}\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(http_harness, ends_an_answer_that_is_not_whole_without_its_last_chunk) {
  start(with({in_parts(1, 16, true)}));
  raw_client c{path};
  c.send(get_parts);
  const auto got = c.receive_all();
  EXPECT_THAT(got, HasSubstr("10\r\n" + std::string(16, 'x')));
  EXPECT_THAT(got, Not(HasSubstr("\r\n0\r\n")));
}

TEST_F(http_harness, makes_no_further_part_while_a_client_does_not_read) {
  auto made = std::make_shared<std::atomic<std::size_t>>(0);
  class counted final : public part_source {
   public:
    explicit counted(std::shared_ptr<std::atomic<std::size_t>> n) : n_(std::move(n)) {}
    result<std::string> next() override {
      ++*n_;
      return std::string(std::size_t{1} << 20, 'x');
    }

   private:
    std::shared_ptr<std::atomic<std::size_t>> n_;
  };
  http_limits limits;
  limits.write_time = milliseconds{300};
  start(with({get("/v1/parts",
                  [made](const request&) -> outcome {
                    response r;
                    r.parts = std::make_shared<counted>(made);
                    return r;
                  })}),
        limits);
  raw_client c{path};
  c.send(get_parts);
  // The client reads only now, after the server gave it up: what it gets are the buffers of the socket.
  while (server->counters().connections != 0 || *made == 0) std::this_thread::yield();
  EXPECT_LE(*made, 4U);
}

TEST(responses, wipe_a_secret_body_that_is_never_sent) {
  constexpr std::string_view key = "0123456789abcde";  // inside the string object
  for (const bool secret : {true, false}) {
    alignas(response) std::array<char, sizeof(response)> memory{};
    auto* r = new (memory.data()) response;
    r->body = key;
    r->secret = secret;
    std::destroy_at(r);
    const volatile char* seen = memory.data();
    std::string left;
    for (std::size_t i = 0; i < memory.size(); ++i) left += seen[i];
    EXPECT_EQ(left.find(key) == std::string::npos, secret);
  }
}

/// What the test puts in, as parts of an answer that goes on.
class live_parts final : public part_source {
 public:
  void put(const std::string& text) {
    std::function<void()> wake;
    {
      const std::lock_guard lock{guard_};
      waiting_ += text;
      wake = wake_;
    }
    if (wake) wake();
  }
  result<std::string> next() override {
    const std::lock_guard lock{guard_};
    made += waiting_.empty() ? 0 : 1;
    return std::exchange(waiting_, {});
  }
  [[nodiscard]] bool goes_on() const override { return true; }
  [[nodiscard]] bool drained() const override { return all_at_once && made > 0; }
  [[nodiscard]] milliseconds gathers() const override { return window; }
  std::shared_ptr<void> listen(std::function<void()> wake) override {
    const std::lock_guard lock{guard_};
    wake_ = std::move(wake);
    return {nullptr, [this](void*) {
              const std::lock_guard held{guard_};
              wake_ = {};
            }};
  }
  std::string heartbeat() override { return "beat\n"; }
  bool is_heard() {
    const std::lock_guard lock{guard_};
    return static_cast<bool>(wake_);
  }
  bool all_at_once = false;
  milliseconds window{0};
  std::atomic<int> made{0};  ///< parts

 private:
  std::mutex guard_;
  std::string waiting_ = "first\n";
  std::function<void()> wake_;
};

route live(const std::shared_ptr<live_parts>& parts) {
  return get("/v1/parts", [parts](const request&) -> outcome {
    response r;
    r.parts = parts;
    return r;
  });
}

TEST_F(http_harness, sends_what_is_new_and_a_heartbeat_when_nothing_is) {
  const auto parts = std::make_shared<live_parts>();
  http_limits limits;
  limits.heartbeat = milliseconds{50};
  start(with({live(parts)}), limits);
  raw_client c{path};
  c.send(get_parts);
  EXPECT_THAT(c.receive_until("first\n"), HasSubstr("6\r\nfirst\n\r\n"));
  for (int i = 0; i < 20; ++i) {
    const auto text = "new " + std::to_string(i) + "\n";
    parts->put(text);
    EXPECT_THAT(c.receive_until(text), HasSubstr(text));
  }
  c.forget();
  EXPECT_THAT(c.receive_until("beat\n"), HasSubstr("beat\n"));
  c.forget();
  EXPECT_THAT(c.receive_until("beat\n"), HasSubstr("beat\n"));
  EXPECT_TRUE(parts->is_heard());
  c.close();
  while (parts->is_heard()) std::this_thread::yield();
}

TEST_F(http_harness, gathers_what_comes_in_quick_succession) {
  const auto parts = std::make_shared<live_parts>();
  parts->all_at_once = true;
  parts->window = seconds{2};
  start(with({live(parts)}));
  raw_client c{path};
  c.send(get_parts);
  c.receive_until("first\n");
  while (!parts->is_heard()) std::this_thread::yield();
  for (int i = 0; i < 1000; ++i) parts->put("new " + std::to_string(i) + "\n");
  const auto all = c.receive_until("new 999\n");
  for (int i = 0; i < 1000; i += 111) EXPECT_THAT(all, HasSubstr("new " + std::to_string(i) + "\n"));
  EXPECT_LT(parts->made, 100) << "not one part per change";
}

TEST_F(http_harness, sends_a_change_at_once_after_a_pause_and_ends_while_it_gathers) {
  const auto parts = std::make_shared<live_parts>();
  parts->all_at_once = true;
  parts->window = milliseconds{1};
  start(with({live(parts)}));
  raw_client c{path};
  c.send(get_parts);
  c.receive_until("first\n");
  for (int i = 0; i < 20; ++i) {
    const auto text = "new " + std::to_string(i) + "\n";
    parts->put(text);
    EXPECT_THAT(c.receive_until(text), HasSubstr(text));
  }
  const auto slow = std::make_shared<live_parts>();
  slow->all_at_once = true;
  slow->window = seconds{3600};
  server.reset();
  start(with({live(slow)}));
  raw_client d{path};
  d.send(get_parts);
  d.receive_until("first\n");
  slow->put("never\n");
  server.reset();
  EXPECT_FALSE(slow->is_heard());
}

TEST_F(http_harness, counts_an_answer_that_goes_on_as_a_reader_of_events) {
  const auto parts = std::make_shared<live_parts>();
  http_limits limits;
  limits.event_readers_per_peer = 1;
  start(with({live(parts)}), limits);
  raw_client c{path};
  c.send(get_parts);
  c.receive_until("first\n");
  raw_client second{path};
  second.send(get_parts);
  const auto refused = second.receive_all();
  EXPECT_THAT(refused, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(refused, HasSubstr("too-many-readers"));
  EXPECT_EQ(server->counters().event_readers, 1U);
}

TEST_F(http_harness, ends_at_once_although_an_answer_goes_on) {
  const auto parts = std::make_shared<live_parts>();
  start(with({live(parts)}));
  raw_client c{path};
  c.send(get_parts);
  c.receive_until("first\n");
  const auto begun = std::chrono::steady_clock::now();
  server.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, seconds{5}) << "not at the next heartbeat";
  EXPECT_FALSE(parts->is_heard());
}

TEST_F(http_harness, refuses_a_body_where_none_is_taken_before_it_comes) {
  auto r = hello();
  r.body_max = 0;
  r.at_once = 1;
  start(with({r}));
  for (const auto* body : {"Content-Length: 5\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"}) {
    raw_client stalled{path};
    stalled.send(std::string{"GET /v1/hello HTTP/1.1\r\nHost: localhost\r\n"} + body);
    EXPECT_THAT(stalled.receive_until("}"), StartsWith("HTTP/1.1 413 ")) << body;
    raw_client other{path};
    other.send(get_hello);
    EXPECT_THAT(other.receive_until("}\n"), StartsWith("HTTP/1.1 200 OK\r\n"))
        << "the stalled one has no place";
  }
  raw_client empty{path};
  empty.send("GET /v1/hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
  EXPECT_THAT(empty.receive_until("}\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(http_harness, takes_the_level_of_a_process_from_its_caller) {
  config::api_config c;
  c.socket = path;
  auto started = http_server::start(c, {.component = "server",
                                        .routes = with({hello()}),
                                        .level_of = [](const local_peer&) { return level::nobody; }});
  ASSERT_TRUE(started) << started.error().message();
  server = std::move(*started);
  EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms{0666});
  raw_client client{path};
  client.send(get_hello);
  EXPECT_THAT(client.receive_all(), StartsWith("HTTP/1.1 403 ")) << "although its user is that of the role";
}

}  // namespace
}  // namespace cpns::api
