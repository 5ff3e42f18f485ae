// Requests that no documented client sends: each is answered, and recorded without a word that was not understood.

#include <gmock/gmock.h>

#include "sample_routes.hpp"
#include "server_harness.hpp"

namespace cpns::api {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST_F(http_harness, refuses_json_of_two_meanings_before_its_intent) {
  recorded_changes changes;
  start(with({set_password()}), {}, &changes);
  for (const std::string body :
       {R"({"password":1e400})", R"({"password":"hunter2","password":"hunter2"})", "{"}) {
    raw_client c{path};
    c.send("PUT /v1/users/hunter2/password HTTP/1.1\r\nHost: localhost\r\nCpns-Request-Id: r1\r\n"
           "Content-Type: application/json\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body);
    EXPECT_THAT(c.receive_until("}\n"), HasSubstr(R"("code":"bad-json")")) << body;
  }
  EXPECT_THAT(changes.lines, testing::Each(StartsWith("refused user-password bad-json")));
  EXPECT_EQ(changes.lines.size(), 3U);
}

TEST_F(http_harness, records_no_name_that_cannot_be_one) {
  recorded_changes changes;
  start(with({set_password()}), {}, &changes);
  raw_client c{path};
  c.send("PUT /v1/users/hunter2/password HTTP/1.1\r\nHost: x\r\nCpns-Request-Id: 1\r\nContent-Length: "
         "0\r\n\r\n");
  c.receive_until("\r\n\r\n");
  EXPECT_THAT(changes.lines, testing::ElementsAre("intent user-password  null", "outcome done"));
}

TEST_F(http_harness, answers_head_without_a_body_on_the_same_connection) {
  start(with({hello()}));
  raw_client c{path};
  c.send("HEAD /v1/hello HTTP/1.1\r\nHost: x\r\n\r\nHEAD /v1/no HTTP/1.1\r\nHost: x\r\n\r\n");
  c.send_no_more();
  const auto got = c.receive_all();
  EXPECT_THAT(got, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(got, HasSubstr("Content-Length: 16\r\n"));
  EXPECT_THAT(got, HasSubstr("\r\n\r\nHTTP/1.1 404 Not Found\r\n"));
  EXPECT_THAT(got, testing::EndsWith("\r\n\r\n"));
}

TEST_F(http_harness, answers_a_body_that_is_broken_or_cut_and_records_it) {
  recorded_changes changes;
  start(with({set_password()}), {}, &changes);
  const std::string head = "PUT /v1/users/a/password HTTP/1.1\r\nHost: x\r\nCpns-Request-Id: 1\r\n";
  const auto ask = [&](const std::string& rest) {
    raw_client c{path};
    c.send(head + rest);
    c.send_no_more();
    return c.receive_all();
  };
  EXPECT_THAT(ask("Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"), HasSubstr(R"("code":"bad-request")"));
  EXPECT_THAT(ask("Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"),
              HasSubstr(R"("code":"bad-request")"));
  EXPECT_THAT(ask("Transfer-Encoding: chunked\r\n\r\n2\r\n{"), HasSubstr(R"("code":"peer-closed")"));
  EXPECT_THAT(ask("Content-Length: 5\r\n\r\n{"), HasSubstr(R"("code":"peer-closed")"));
  EXPECT_EQ(changes.lines.size(), 4U);
  EXPECT_THAT(changes.lines, testing::Each(StartsWith("refused user-password ")));
}

TEST_F(http_harness, refuses_headers_that_programs_understand_differently) {
  start(with({hello(), set_password()}));
  const auto ask = [this](const std::string& headers) {
    raw_client c{path};
    c.send("PUT /v1/users/a/password HTTP/1.1\r\nHost: x\r\nCpns-Request-Id: 1\r\n" + headers +
           "\r\n0\r\n\r\n");
    return c.receive_all();
  };
  EXPECT_THAT(ask("Host: y\r\nContent-Length: 0\r\n"), HasSubstr(R"("field":"Host")"));
  for (const auto* coding : {"gzip, chunked\r\n", "xchunked\r\nContent-Length: 0\r\n",
                             "chunked\r\nTransfer-Encoding: chunked\r\n"})
    EXPECT_THAT(ask("Transfer-Encoding: " + std::string{coding}), HasSubstr(R"("code":"bad-request")"))
        << coding;
  EXPECT_THAT(ask("Content-Encoding: gzip\r\nContent-Length: 0\r\n"),
              HasSubstr(R"("field":"Content-Encoding")"));
}

TEST_F(http_harness, refuses_http_1_1_without_a_host) {
  start(with({hello()}));
  const auto ask = [this](const std::string& first_line) {
    raw_client c{path};
    c.send(first_line + "\r\n\r\n");
    return c.receive_all();
  };
  const auto refused = ask("GET /v1/hello HTTP/1.1");
  EXPECT_THAT(refused, StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(refused, HasSubstr(R"("code":"bad-request")"));
  EXPECT_THAT(refused, HasSubstr(R"("field":"Host")"));
  EXPECT_THAT(ask("GET /v1/hello HTTP/1.0"), StartsWith("HTTP/1.1 200 ")) << "HTTP/1.0 has no such rule";
}

TEST_F(http_harness, gives_each_early_answer_an_id_of_its_own) {
  start(with({hello()}));
  for (const auto& text :
       {std::string{"hello\r\n\r\n"}, "GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"}) {
    raw_client c{path};
    c.send("GET /v1/hello HTTP/1.1\r\nHost: x\r\nCpns-Request-Id: former\r\n\r\n");
    c.receive_until("}\n");
    c.forget();
    c.send(text);
    const auto got = c.receive_all();
    EXPECT_THAT(got, HasSubstr("\r\nCpns-Request-Id: "));
    EXPECT_THAT(got, HasSubstr(R"("request":")"));
    EXPECT_THAT(got, Not(HasSubstr("former")));
  }
}

}  // namespace
}  // namespace cpns::api
