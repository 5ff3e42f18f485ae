// The reader of HTTP takes an answer in any pieces, and refuses one that two readers could understand differently.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

extern "C" {
#include "http.h"
}

namespace cpns::tests {
namespace {

/// Status and body, or "refused"; with " ..." when the answer is not over.
std::string read(std::string_view text, std::size_t piece = 1) {
  http h{};
  http_begin(&h);
  std::string body;
  while (!text.empty() && h.part != HTTP_DONE) {
    std::size_t used = 0;
    std::size_t length = 0;
    const char* part = nullptr;
    if (!http_feed(&h, text.data(), std::min(piece, text.size()), &used, &part, &length)) return "refused";
    body.append(part, length);
    text.remove_prefix(used);
  }
  return std::to_string(h.status) + " " + body + (h.part == HTTP_DONE ? "" : " ...");
}

TEST(KeysHttp, ReadsEachFormOfABodyInPiecesOfAnySize) {
  for (const std::size_t piece : {1U, 2U, 7U, 1000U}) {
    EXPECT_EQ(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: "
                   "chunked\r\n\r\n3\r\nabc\r\n00a;x=\"y\"\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
                   piece),
              "200 abc0123456789");
    EXPECT_EQ(read("HTTP/1.1 403 No\r\ncontent-length:4\r\n\r\nabcdefg", piece), "403 abcd");
    EXPECT_EQ(read("HTTP/1.0 200\r\nA:b\r\n\r\nabc", piece), "200 abc ...");
    EXPECT_EQ(read("HTTP/1.1 204 No Content\r\n\r\n", piece), "204 ");
    EXPECT_EQ(read("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", piece), "200 ");
    EXPECT_EQ(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", piece), "200 ab ...");
  }
}

TEST(KeysHttp, RefusesWhatIsNotHttpOrDoubtful) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const std::string chunked = ok + "Transfer-Encoding: chunked\r\n\r\n";
  for (const std::string& text : {std::string{"GET / HTTP/1.1\r\n"},
                                  std::string{"HTTP/2 200\r\n"},
                                  std::string{"HTTP/1.1 20\r\n"},
                                  std::string{"HTTP/1.1 2000\r\n"},
                                  std::string{"HTTP/1.1 100 Continue\r\n"},
                                  std::string{"HTTP/1.1 200 OK\n"},
                                  ok + "no colon\r\n",
                                  ok + std::string(1, '\0'),
                                  ok + "Content-Length: 1\r\nContent-Length: 1\r\n",
                                  ok + "Content-Length: -1\r\n",
                                  ok + "Content-Length: \r\n",
                                  ok + "Content-Length: 99999999999999999999\r\n",
                                  ok + "Transfer-Encoding: gzip\r\n",
                                  ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                                  ok + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
                                  chunked + "\r\n",
                                  chunked + "x\r\n",
                                  chunked + "-1\r\n",
                                  chunked + "100000000\r\n",
                                  chunked + "1\r\nab\r\n",
                                  chunked + "1 2\r\n"})
    EXPECT_EQ(read(text, 1000), "refused") << text;
}

TEST(KeysHttp, HasBounds) {
  EXPECT_EQ(read("HTTP/1.1 200 OK\r\nA: " + std::string(2000, 'a'), 100), "refused");
  std::string header = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 1000; ++i) header += "Name: a value of some length\r\n";
  EXPECT_EQ(read(header, 1000), "refused");
  std::string trailer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
  for (int i = 0; i < 1000; ++i) trailer += "Name: a value of some length\r\n";
  EXPECT_EQ(read(trailer, 1000), "refused");
}

}  // namespace
}  // namespace cpns::tests
