// Random damage in requests, on real connections: each answer is a complete HTTP message, a refusal is a complete
// problem, and the server goes on.

#include <algorithm>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
#include <iostream>
#include <random>

#include "api/body.hpp"
#include "server_harness.hpp"

namespace cpns::api {
namespace {

namespace http = boost::beast::http;

constexpr int hostile_rounds = 3000;

route_table hostile_table() {
  route_table t;
  t.add({.verb = verb::get, .path = "/v1/things", .handle = [](const request& r) -> outcome {
           CPNS_CHECK(only_parameters(r, {"limit", "after"}));
           CPNS_TRY(const auto page, page_of(r));
           return json_response(boost::json::object{{"limit", page.limit}, {"next", page.after}});
         }});
  t.add({.verb = verb::put,
         .path = "/v1/things/{thing}",
         .needs = level::admin,
         .handle = [](const request& r) -> outcome {
           CPNS_TRY(const auto body, json_body::read(r, {"name", "count"}));
           CPNS_TRY(const auto name, body.text("name", 100));
           CPNS_TRY(const auto count, body.number("count", 1, 1000, 1));
           return json_response(
               boost::json::object{{"thing", r.at("thing")}, {"name", name}, {"count", count}});
         },
         .action = "thing-put"});
  t.add(upload(10'000));
  return t;
}

const std::vector<std::string>& good_requests() {
  static const std::vector<std::string> all{
      "GET /v1/things?limit=7&after=a%20b HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n\r\n",
      "PUT /v1/things/a%2Fb HTTP/1.1\r\nHost: localhost\r\nCpns-Request-Id: r1\r\nContent-Type: "
      "application/json\r\n"
      "Content-Length: 23\r\n\r\n{\"name\":\"x\",\"count\":12}",
      "PUT /v1/things/a HTTP/1.1\r\nHost: localhost\r\nCpns-Request-Id: r1\r\nContent-Type: "
      "application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"nam\r\n7\r\ne\":\"x\"}\r\n0\r\n\r\n",
      "POST /v1/upload HTTP/1.1\r\nHost: localhost\r\nCpns-Request-Id: r1\r\nExpect: "
      "100-continue\r\nContent-Length: 5\r\n\r\nhello",
      "POST /v1/upload HTTP/1.1\r\nHost: localhost\r\nCpns-Request-Id: r1\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n"};
  return all;
}

class damage {
 public:
  explicit damage(std::uint32_t seed) : random_(seed) {}

  std::string next() {
    auto text = one_of(good_requests());
    if (below(4) == 0) text += one_of(good_requests());
    for (auto n = below(6); n > 0; --n) change(text);
    return text;
  }

 private:
  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>{0, n - 1}(random_); }
  template <class T>
  const T& one_of(const std::vector<T>& all) {
    return all[below(all.size())];
  }
  void change(std::string& text) {
    static const std::vector<std::string> words{"\r\n",
                                                "\n",
                                                "\r\n\r\n",
                                                std::string(1, '\0'),
                                                "%00",
                                                "%",
                                                "\xff",
                                                " ",
                                                ":",
                                                "18446744073709551616",
                                                "-1",
                                                "HTTP/1.0",
                                                "HTTP/2.0",
                                                "Content-Length: 3\r\n",
                                                "Transfer-Encoding: chunked\r\n",
                                                "Transfer-Encoding: gzip\r\n",
                                                "Expect: 100-continue\r\n",
                                                "Connection: close\r\n",
                                                "Upgrade: h2c\r\n",
                                                "Host: evil.example\r\n",
                                                "?a=1&a=2",
                                                "[[[[[[[[[[",
                                                std::string(20'000, 'x')};
    const auto at = below(text.size() + 1);
    const auto length = std::min(below(12), text.size() - at);
    switch (below(5)) {
    case 0: text.erase(at, length); break;
    case 1: text.insert(at, text.substr(at, length)); break;
    case 2: text.insert(at, one_of(words)); break;
    case 3: text.resize(at); break;
    default:
      if (at < text.size()) text[at] = static_cast<char>(below(256));
    }
  }

  std::mt19937 random_;
};

/// The fault of what a server sent; empty: none.
std::string fault_of_answers(std::string_view got) {
  while (!got.empty()) {
    http::response_parser<http::string_body> parser;
    parser.eager(true);
    boost::system::error_code ec;
    const auto used = parser.put(boost::asio::buffer(got.data(), got.size()), ec);
    if (ec || !parser.is_done()) return "not a complete answer: " + ec.message();
    got.remove_prefix(used);
    const auto& m = parser.get();
    if (m.result_int() < 400) continue;
    const auto document = boost::json::parse(m.body(), ec);
    const auto* o = ec ? nullptr : document.if_object();
    const auto* status = o == nullptr ? nullptr : o->if_contains("status");
    const auto* code = o == nullptr ? nullptr : o->if_contains("code");
    if (status == nullptr || *status != m.result_int() || code == nullptr || !code->is_string() ||
        code->get_string().empty())
      return "not a complete problem: " + m.body();
  }
  return {};
}

TEST_F(http_harness, answers_damaged_requests_with_complete_messages_and_goes_on) {
  start(hostile_table(), {.request_time = seconds{5}});
  const auto seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  damage source{seed};
  int answered = 0;
  for (int i = 0; i < hostile_rounds; ++i) {
    const auto text = source.next();
    raw_client c{path};
    c.send(text);
    c.send_no_more();
    const auto got = c.receive_all();
    answered += got.empty() ? 0 : 1;
    ASSERT_EQ(fault_of_answers(got), "") << "seed " << seed << ", round " << i << "\n" << text << "\n" << got;
  }
  EXPECT_GT(answered, hostile_rounds / 2);
  raw_client last{path};
  last.send(good_requests().front());
  EXPECT_NE(last.receive_until("}\n").find("200 OK"), std::string::npos);
}

TEST(hostile, finds_an_answer_with_a_fault) {
  const std::string good =
      "HTTP/1.1 400 Bad Request\r\nContent-Length: 28\r\n\r\n{\"status\":400,\"code\":\"a-b\"}\n";
  ASSERT_EQ(fault_of_answers(good + good), "");
  EXPECT_NE(fault_of_answers(good.substr(0, good.size() - 1)), "");
  EXPECT_NE(fault_of_answers("HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}"), "");
  EXPECT_NE(fault_of_answers("hello"), "");
}

}  // namespace
}  // namespace cpns::api
