// An answer that is read as it comes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <memory>
#include <string>

#include "api/open_answer.hpp"
#include "sample_routes.hpp"
#include "server_harness.hpp"

namespace cpns::api {
namespace {

using testing::HasSubstr;

/// Reads until the answer is complete or fails.
status read_whole(open_answer& a, std::string& body) {
  const auto until = std::chrono::steady_clock::now() + seconds{20};
  while (!a.complete()) {
    pollfd p{a.fd(), POLLIN, 0};
    if (std::chrono::steady_clock::now() > until || ::poll(&p, 1, 20'000) != 1)
      return fail(errc::peer_timeout);
    CPNS_CHECK(a.read([&](std::string_view piece) { body += piece; }));
  }
  return {};
}

/// 100 parts of 8 KiB, of which no two are equal; then an end, or an error of the source.
class open_parts final : public part_source {
 public:
  explicit open_parts(bool fails) : fails_(fails) {}
  result<std::string> next() override {
    if (at_ == 100 && fails_) return fail(errc::store_unavailable);
    return at_ == 100 ? std::string{} : std::to_string(1000 + at_++) + std::string(8188, 'x');
  }

 private:
  int at_ = 0;
  const bool fails_;
};

route open_parts_route(bool fails) {
  return get("/v1/parts", [fails](const request&) -> outcome {
    response r;
    r.type = "application/x-ndjson";
    r.parts = std::make_shared<open_parts>(fails);
    return r;
  });
}

TEST_F(http_harness, lets_an_open_answer_take_all_parts_in_order) {
  start(with({open_parts_route(false)}));
  auto a = open_answer::ask(path, "", verb::get, "/v1/parts");
  ASSERT_TRUE(a);
  EXPECT_EQ(a->http_status(), 0U);
  std::string body;
  ASSERT_TRUE(read_whole(*a, body));
  EXPECT_EQ(a->http_status(), 200U);
  EXPECT_EQ(a->type(), "application/x-ndjson");
  ASSERT_EQ(body.size(), 100U * 8192);
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(body.substr(i * 8192, 5), std::to_string(1000 + i) + "x");
}

TEST_F(http_harness, lets_an_open_answer_tell_an_end_from_a_break) {
  start(with({open_parts_route(true)}));
  auto a = open_answer::ask(path, "", verb::get, "/v1/parts");
  ASSERT_TRUE(a);
  std::string body;
  const auto done = read_whole(*a, body);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, errc::peer_closed);
}

TEST_F(http_harness, lets_an_open_answer_read_a_problem) {
  start(with({open_parts_route(false)}));
  auto a = open_answer::ask(path, "", verb::get, "/v1/none");
  ASSERT_TRUE(a);
  std::string body;
  ASSERT_TRUE(read_whole(*a, body));
  EXPECT_EQ(a->http_status(), 404U);
  EXPECT_THAT(body, HasSubstr("no-such-path"));
}

TEST_F(http_harness, is_missing_for_an_open_answer_without_a_role) {
  const auto a = open_answer::ask(path, "", verb::get, "/v1/parts");
  ASSERT_FALSE(a);
  EXPECT_EQ(a.error().code, errc::peer_closed);
  EXPECT_EQ(open_answer::ask(std::string(200, 'x'), "", verb::get, "/").error().code, errc::config_range);
}

}  // namespace
}  // namespace cpns::api
