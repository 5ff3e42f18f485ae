// The Unix socket through which commands reach a running role.
#include "actors/control.hpp"

#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

namespace cpns::actors {
namespace {

struct control_harness {
  std::string folder;
  control_harness() {
    folder = testing::TempDir() + "cpns-control-XXXXXX";
    EXPECT_NE(::mkdtemp(folder.data()), nullptr);
  }
  ~control_harness() { std::filesystem::remove_all(folder); }
  [[nodiscard]] std::string path() const { return folder + "/s"; }
  [[nodiscard]] auto listen() const {
    return control_server::listen(path(), [](const std::string& line) { return "echo " + line; });
  }
};

/// A client that connects and sends only what the test sends.
struct raw_client {
  int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  explicit raw_client(const std::string& path) {
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    std::memcpy(a.sun_path, path.c_str(), path.size());
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a), 0);
  }
  ~raw_client() { ::close(fd); }
  raw_client(const raw_client&) = delete;
  raw_client& operator=(const raw_client&) = delete;
  void send(std::string_view text) const {
    EXPECT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
};

TEST(control, answers_a_line_with_a_line) {
  control_harness p;
  const auto server = p.listen();
  ASSERT_TRUE(server.has_value()) << server.error().message();
  EXPECT_EQ(control_call(p.path(), "one").value(), "echo one");
  EXPECT_EQ(control_call(p.path(), "two").value(), "echo two");
}

TEST(control, sends_a_long_answer_completely) {
  control_harness p;
  const std::string list(8 * 1024 * 1024, 'x');
  const auto server = control_server::listen(p.path(), [&list](const std::string&) { return list; });
  ASSERT_TRUE(server.has_value());
  EXPECT_EQ(control_call(p.path(), "list").value(), list);
}

TEST(control, the_socket_is_private_to_its_owner_and_is_removed_with_the_role) {
  control_harness p;
  {
    const auto server = p.listen();
    struct stat s {};
    ASSERT_EQ(::stat(p.path().c_str(), &s), 0);
    EXPECT_EQ(s.st_mode & 0777, 0600u);
  }
  EXPECT_FALSE(std::filesystem::exists(p.path()));
  const auto asked = control_call(p.path(), "one");
  ASSERT_FALSE(asked.has_value());
  EXPECT_EQ(asked.error().code, errc::peer_closed);
  EXPECT_THAT(asked.error().detail, testing::HasSubstr(p.path()));
}

TEST(control, replaces_the_socket_that_a_killed_role_left) {
  control_harness p;
  const int left = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  std::memcpy(a.sun_path, p.path().c_str(), p.path().size());
  ASSERT_EQ(::bind(left, reinterpret_cast<const sockaddr*>(&a), sizeof a), 0);
  ::close(left);
  ASSERT_TRUE(std::filesystem::exists(p.path()));
  const auto server = p.listen();
  ASSERT_TRUE(server.has_value()) << server.error().message();
  EXPECT_EQ(control_call(p.path(), "one").value(), "echo one");
}

TEST(control, keeps_the_socket_of_a_running_role) {
  control_harness p;
  const auto server = p.listen();
  const auto second = p.listen();
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, errc::state_exists);
  EXPECT_EQ(control_call(p.path(), "one").value(), "echo one");
}

TEST(control, keeps_a_file_that_is_not_a_socket) {
  control_harness p;
  std::ofstream{p.path()} << "precious";
  const auto server = p.listen();
  ASSERT_FALSE(server.has_value());
  EXPECT_EQ(server.error().code, errc::config_file);
  EXPECT_EQ(std::filesystem::file_size(p.path()), 8u);
}

TEST(control, refuses_unusable_paths) {
  control_harness p;
  const auto missing =
      control_server::listen(p.folder + "/no/s", [](const std::string&) { return std::string{}; });
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, errc::config_file);
  const auto lengthy = control_server::listen(p.folder + "/" + std::string(200, 'x'),
                                              [](const std::string&) { return std::string{}; });
  ASSERT_FALSE(lengthy.has_value());
  EXPECT_EQ(lengthy.error().code, errc::config_range);
}

TEST(control, closes_an_endless_request_and_serves_the_next_client) {
  control_harness p;
  const auto server = p.listen();
  {
    raw_client endless{p.path()};
    endless.send(std::string(control_request_max + 1000, 'x'));
    char byte = 0;
    EXPECT_LE(::recv(endless.fd, &byte, 1, 0), 0) << "closed without an answer";
  }
  EXPECT_EQ(control_call(p.path(), "one").value(), "echo one");
}

TEST(control, a_silent_client_does_not_block_others) {
  control_harness p;
  const auto server = p.listen();
  raw_client silent{p.path()};
  EXPECT_EQ(control_call(p.path(), "one").value(), "echo one");
}

TEST(control, many_silent_clients_do_not_block_others) {
  control_harness p;
  const auto server = p.listen();
  std::vector<std::unique_ptr<raw_client>> silent;
  for (int i = 0; i < 200; ++i) silent.push_back(std::make_unique<raw_client>(p.path()));
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(control_call(p.path(), "one").value(), "echo one");
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds{2})
      << "no timeout of a silent client was awaited";
}

TEST(control, a_client_that_sends_single_bytes_gets_the_time_of_one_line) {
  control_harness p;
  const auto server = p.listen();
  const raw_client slow{p.path()};
  const auto begun = std::chrono::steady_clock::now();
  pollfd ended{slow.fd, POLLIN, 0};
  // One byte every 300 ms, until the server closes.
  while (::send(slow.fd, "x", 1, MSG_NOSIGNAL) == 1 && ::poll(&ended, 1, 300) == 0)
    if (std::chrono::steady_clock::now() - begun > std::chrono::seconds{20}) break;
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds{10});
}

TEST(control, the_role_ends_while_clients_neither_send_nor_read) {
  control_harness p;
  const std::string list(8 * 1024 * 1024, 'x');
  auto server = control_server::listen(p.path(), [&list](const std::string&) { return list; }).value();
  const raw_client silent{p.path()}, deaf{p.path()};
  deaf.send("list\n");
  char first = 0;
  ASSERT_EQ(::recv(deaf.fd, &first, 1, 0), 1) << "the answer is in transfer";
  const auto begun = std::chrono::steady_clock::now();
  server.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds{2});
}

TEST(control, answers_pipelined_lines_one_by_one) {
  control_harness p;
  const auto server = p.listen();
  const raw_client c{p.path()};
  c.send("one\ntwo\n");
  const std::string expected = "echo one\necho two\n";
  std::string got(expected.size(), '\0');
  ASSERT_EQ(::recv(c.fd, got.data(), got.size(), MSG_WAITALL), static_cast<ssize_t>(got.size()));
  EXPECT_EQ(got, expected);
}

TEST(control, survives_clients_that_disconnect_midway) {
  control_harness p;
  const auto server = p.listen();
  for (int i = 0; i < 10; ++i) {
    raw_client leaves{p.path()};
    leaves.send(i % 2 == 0 ? "half a li" : "a whole line\n");
  }
  EXPECT_EQ(control_call(p.path(), "one").value(), "echo one");
}

}  // namespace
}  // namespace cpns::actors
