#pragma once
// A key socket whose answers a test writes byte by byte, and a program that follows it. Both in one thread: the library
// never waits.

#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cpns_keys.h"

namespace cpns::tests {

constexpr int patience_ms = 10'000;

inline bool readable(int fd, int timeout_ms) {
  pollfd p{fd, POLLIN, 0};
  return ::poll(&p, 1, timeout_ms) == 1;
}

/// One connection of the library, as the role sees it.
class served {
 public:
  explicit served(int fd) : fd_(fd) {}
  served(served&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  served& operator=(served&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~served() { close(); }

  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  /// To the end of the header, with the body that Content-Length counts.
  std::string request() {
    std::string out;
    while (!whole(out)) {
      char c = 0;
      if (!readable(fd_, patience_ms) || ::read(fd_, &c, 1) != 1) {
        ADD_FAILURE() << "no whole request: " << out;
        break;
      }
      out += c;
    }
    return out;
  }
  void send(std::string_view text) {
    EXPECT_EQ(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  void chunk(std::string_view text) {
    char size[32];
    std::snprintf(size, sizeof size, "%zx\r\n", text.size());
    send(size + std::string{text} + "\r\n");
  }
  void begin() {
    send("HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n");
  }
  bool is_closed() {
    char c = 0;
    return readable(fd_, patience_ms) && ::read(fd_, &c, 1) <= 0;
  }
  [[nodiscard]] bool has_more() const { return readable(fd_, 0); }

 private:
  static bool whole(const std::string& text) {
    const auto end = text.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    const std::string name = "Content-Length: ";
    const auto at = text.find(name);
    return at == std::string::npos || text.size() >= end + 4 + std::stoul(text.substr(at + name.size()));
  }
  int fd_;
};

class fake_role {
 public:
  fake_role() {
    char name[] = "/tmp/cpns-keys-XXXXXX";
    folder_ = ::mkdtemp(name);
    open();
  }
  fake_role(const fake_role&) = delete;
  fake_role& operator=(const fake_role&) = delete;
  ~fake_role() {
    close();
    ::rmdir(folder_.c_str());
  }
  void open() {
    fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    path().copy(a.sun_path, sizeof a.sun_path - 1);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&a), sizeof a), 0);
    EXPECT_EQ(::listen(fd_, 16), 0);
  }
  void close() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(path().c_str());
    fd_ = -1;
  }
  [[nodiscard]] std::string path() const { return folder_ + "/keys.sock"; }
  served accept() {
    EXPECT_TRUE(readable(fd_, patience_ms));
    return served{::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC)};
  }
  [[nodiscard]] bool is_asked() const { return readable(fd_, 0); }

 private:
  std::string folder_;
  int fd_ = -1;
};

/// A program that writes down its events as text.
class follower {
 public:
  explicit follower(const std::string& path, cpns_keys_acks acks = CPNS_KEYS_ACKS_NONE) {
    cpns_keys_options o{};
    o.user = this;
    o.acks = acks;
    o.events.put = [](void* user, const cpns_key* k) {
      of(user).said.push_back(std::string{"put "} + k->epoch + " " + k->state + (k->use ? " use" : ""));
      cpns_key found{};
      EXPECT_EQ(cpns_keys_by_identity(of(user).keys, k->identity, &found), 0);
      EXPECT_EQ(found.bytes, k->bytes);
      EXPECT_EQ(cpns_keys_dispatch(of(user).keys), -EBUSY);
      EXPECT_EQ(cpns_keys_wait_synced(of(user).keys, 0), -EBUSY);
    };
    o.events.gone = [](void* user, const char*, const char* epoch, const char*, cpns_gone why) {
      of(user).said.push_back(std::string{"gone "} + epoch + " " + cpns_keys_gone_name(why));
    };
    o.events.end_sessions = [](void* user, const char* entity, const char* below, cpns_gone why) {
      of(user).said.push_back(std::string{"end "} + entity + " " + (below == nullptr ? "all" : below) + " " +
                              cpns_keys_gone_name(why));
    };
    o.events.synced = [](void* user, std::size_t n) {
      of(user).said.push_back("synced " + std::to_string(n));
    };
    o.events.lost = [](void* user, const char* why) { of(user).said.push_back(std::string{"lost: "} + why); };
    EXPECT_EQ(cpns_keys_open(&keys, path.c_str(), "mqtt", &o), 0);
  }
  follower(const follower&) = delete;
  follower& operator=(const follower&) = delete;
  ~follower() { cpns_keys_close(keys); }

  /// Dispatches when the descriptor says so, until `done`.
  void until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds{patience_ms};
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) FAIL() << "in vain; " << cpns_keys_error(keys);
      if (!readable(cpns_keys_fd(keys), 10)) continue;
      EXPECT_EQ(cpns_keys_dispatch(keys), 0);
      ++dispatches;
    }
  }
  /// Until `said` has `count` events; returns them, and begins again.
  std::vector<std::string> events(std::size_t count) {
    until([&] { return said.size() >= count; });
    return std::exchange(said, {});
  }
  /// Until the role is asked.
  served accepted_by(fake_role& role) {
    until([&] { return role.is_asked(); });
    return role.accept();
  }

  cpns_keys* keys = nullptr;
  std::vector<std::string> said;
  int dispatches = 0;

 private:
  static follower& of(void* user) { return *static_cast<follower*>(user); }
};

using texts = std::vector<std::string>;

inline const std::string device = "urn:dev:mac:0024befffe804ff1";
inline const std::string other_device = "urn:dev:mac:0024befffe804ff2";

/// The member of a `put` for one key. Its 16 bytes are all `byte`.
inline std::string key_text(const std::string& epoch, const std::string& state, bool use,
                            const std::string& byte = "5a", const std::string& entity = device) {
  std::string hex;
  for (int i = 0; i < 16; ++i) hex += byte;
  return R"({"entity":")" + entity + R"(","epoch":")" + epoch + R"(","state":")" + state + R"(","use":)" +
         (use ? "true" : "false") + R"(,"identity":")" + entity.substr(4) + "/" + epoch +
         R"(","fingerprint":"00","key":")" + hex + "\"}";
}

/// The members behind `event` and `revision`.
inline std::string put_text(int revision, const std::string& keys, const std::string& more = "",
                            const std::string& entity = device) {
  return R"({"event":"put","revision":)" + std::to_string(revision) + R"(,"entity":")" + entity +
         R"(","keys":[)" + keys + "]" + more + "}\n";
}

inline std::string gone_text(int revision, const std::string& reason, const std::string& entity = device) {
  return R"({"event":"gone","revision":)" + std::to_string(revision) + R"(,"entity":")" + entity +
         R"(","reason":")" + reason + "\",\"text\":\"a sentence\"}\n";
}

/// A line with an event and a revision alone.
inline std::string mark_text(int revision, const std::string& event) {
  return R"({"event":")" + event + R"(","revision":)" + std::to_string(revision) + "}\n";
}

}  // namespace cpns::tests
