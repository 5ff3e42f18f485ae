#pragma once
// An HTTP server on a Unix socket in a folder of its own, and clients that send exactly what a test gives them.

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "api/http_server.hpp"
#include "base/descriptor.hpp"
#include "sample_routes.hpp"

namespace cpns::api {

class raw_client {
 public:
  explicit raw_client(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    std::memcpy(a.sun_path, path.c_str(), path.size());
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a), 0);
  }
  void send(std::string_view text) const {
    while (!text.empty()) {
      const auto n = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      text.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  /// Reads until `end` is in what was received, or the server closes.
  std::string receive_until(std::string_view end) {
    while (seen_.find(end) == std::string::npos && more()) {
    }
    return seen_;
  }
  /// Reads until the server closes.
  std::string receive_all() {
    while (more()) {
    }
    return seen_;
  }
  /// Whether the server sent nothing, and did not close, for so long.
  [[nodiscard]] bool hears_nothing_for(milliseconds time) const {
    pollfd p{fd_.get(), POLLIN, 0};
    return ::poll(&p, 1, static_cast<int>(time.count())) == 0;
  }
  void forget() { seen_.clear(); }
  void send_no_more() const { ::shutdown(fd_.get(), SHUT_WR); }
  void close() { fd_.close(); }

 private:
  bool more() {
    pollfd p{fd_.get(), POLLIN, 0};
    if (::poll(&p, 1, 20'000) != 1) return false;
    std::array<char, 4096> part{};
    const auto n = ::recv(fd_.get(), part.data(), part.size(), 0);
    if (n <= 0) return false;
    seen_.append(part.data(), static_cast<std::size_t>(n));
    return true;
  }
  descriptor fd_;
  std::string seen_;
};

class http_harness : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "cpns-http-XXXXXX";
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    path = folder_ + "/s";
  }
  void TearDown() override {
    server.reset();
    std::filesystem::remove_all(folder_);
  }
  void start(route_table routes, http_limits limits = {}, change_log* changes = nullptr) {
    config::api_config c;
    c.socket = path;
    auto made = http_server::start(c, {.component = "server",
                                       .routes = std::move(routes),
                                       .changes = changes,
                                       .events = &hub,
                                       .limits = limits});
    ASSERT_TRUE(made) << made.error().message();
    server = std::move(*made);
  }

  std::string path;
  event_hub hub{"run1"};
  std::unique_ptr<http_server> server;

 private:
  std::string folder_;
};

}  // namespace cpns::api
