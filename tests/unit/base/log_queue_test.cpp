// The queue of the log: order, bounds, and the lines about lines that it dropped.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

#include "base/descriptor.hpp"
#include "log_fixture.hpp"

namespace cpns::log {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

/// The log goes into a FIFO. Until `read_until` is called, nobody reads it: a disk that hangs.
class log_queue : public log_test {
 protected:
  void block() {
    s.file = folder + "/fifo";
    ASSERT_EQ(::mkfifo(s.file.c_str(), 0600), 0);
    held = descriptor{::open(s.file.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC)};
    fill();
    ASSERT_TRUE(configure(s));
    before = statistics();
  }
  void fill() const {
    const std::string empty_lines(4096, '\n');
    while (::write(held.get(), empty_lines.data(), empty_lines.size()) > 0) {
    }
  }
  /// The lines of the FIFO, until one contains `last`.
  std::vector<std::string> read_until(std::string_view last) const {
    const descriptor in{::open(s.file.c_str(), O_RDONLY | O_CLOEXEC)};
    std::vector<std::string> out;
    std::string rest;
    std::array<char, 65536> buffer{};
    for (;;) {
      pollfd wait{in.get(), POLLIN, 0};
      if (::poll(&wait, 1, 10'000) <= 0) return out;  // the test then fails for lack of the line
      const auto n = ::read(in.get(), buffer.data(), buffer.size());
      if (n <= 0) return out;
      rest.append(buffer.data(), static_cast<std::size_t>(n));
      for (auto end = rest.find('\n'); end != std::string::npos; end = rest.find('\n')) {
        auto line = rest.substr(0, end);
        rest.erase(0, end + 1);
        if (line.empty()) continue;
        out.push_back(std::move(line));
        if (out.back().find(last) != std::string::npos) return out;
      }
    }
  }
  static std::uint64_t dropped_since(const counters& then) { return statistics().dropped - then.dropped; }
  static std::uint64_t count_in(const std::string& line) {
    const auto at = line.find("count=");
    return at == std::string::npos ? 0 : std::stoull(line.substr(at + 6));
  }

  descriptor held;
  counters before;
};

TEST_F(log_queue, loses_nothing_at_a_normal_rate) {
  ASSERT_TRUE(configure(s));
  const auto then = statistics();
  for (int i = 0; i < 20'000; ++i) info("server", "e", std::to_string(i));
  ASSERT_TRUE(flush());
  const auto now = statistics();
  EXPECT_EQ(now.written - then.written, 20'000U);
  EXPECT_EQ(now.dropped, then.dropped);
  EXPECT_EQ(now.write_errors, then.write_errors);
  EXPECT_EQ(now.queued, 0U);
  EXPECT_EQ(now.queued_bytes, 0U);
  const auto written = texts();
  ASSERT_EQ(written.size(), 20'000U);
  for (std::size_t i = 0; i < written.size(); ++i) ASSERT_EQ(written[i], std::to_string(i));
}

TEST_F(log_queue, is_bounded_in_lines_and_says_what_it_dropped) {
  block();
  constexpr std::size_t more = 500;
  for (std::size_t i = 0; i < queue_lines_max + more; ++i) info("server", "numbered", std::to_string(i));
  EXPECT_EQ(statistics().queued, queue_lines_max);
  EXPECT_EQ(dropped_since(before), more);
  EXPECT_FALSE(flush(1ms)) << "nobody reads";
  const auto read = read_until("log-lines-dropped");
  ASSERT_EQ(read.size(), queue_lines_max + 1);
  for (std::size_t i = 0; i + 1 < read.size(); ++i)
    ASSERT_TRUE(read[i].ends_with("numbered: " + std::to_string(i))) << read[i];
  EXPECT_THAT(read.back(), HasSubstr(" warn  log log-lines-dropped: "));
  EXPECT_EQ(count_in(read.back()), more);
  EXPECT_TRUE(flush());
  EXPECT_EQ(statistics().queued, 0U);
}

TEST_F(log_queue, is_bounded_in_bytes) {
  block();
  const std::string text(100'000, 'x');
  for (std::size_t i = 0; i < queue_bytes_max / text.size() + 10; ++i) info("server", "big", text);
  EXPECT_GE(dropped_since(before), 10U);
  EXPECT_LE(statistics().queued_bytes, queue_bytes_max);
  EXPECT_GT(statistics().queued_bytes, queue_bytes_max - 2 * text.size());
  info("server", "small", "there is room for a short line");
  const auto kept = read_until("log-lines-dropped");
  EXPECT_TRUE(std::any_of(kept.begin(), kept.end(), [](const auto& l) { return l.find("small") != l.npos; }));
  EXPECT_EQ(count_in(kept.back()), dropped_since(before));
}

TEST_F(log_queue, keeps_errors_when_other_lines_fill_it) {
  block();
  for (std::size_t i = 0; i < queue_lines_max; ++i) info("server", "e", "noise");
  const auto full = statistics();
  for (std::size_t i = 0; i < error_lines_reserve; ++i) error("server", "e", "fault " + std::to_string(i));
  EXPECT_EQ(statistics().dropped, full.dropped);
  error("server", "e", "one too many");
  EXPECT_EQ(statistics().dropped, full.dropped + 1);
  EXPECT_EQ(statistics().queued, queue_lines_max + error_lines_reserve);
  const auto read = read_until("log-lines-dropped");
  const auto faults =
      std::count_if(read.begin(), read.end(), [](const auto& l) { return l.find("fault ") != l.npos; });
  EXPECT_EQ(faults, static_cast<std::ptrdiff_t>(error_lines_reserve));
  EXPECT_THAT(read, Not(testing::Contains(HasSubstr("one too many"))));
}

TEST_F(log_queue, counts_each_dropped_line_once) {
  block();
  for (std::size_t i = 0; i < queue_lines_max + 10; ++i) info("server", "e", "noise");
  const auto first = count_in(read_until("log-lines-dropped").back());
  EXPECT_EQ(first, dropped_since(before));
  ASSERT_TRUE(flush());
  const auto then = statistics();
  fill();
  for (std::size_t i = 0; i < queue_lines_max + 20; ++i) info("server", "e", "noise");
  EXPECT_EQ(count_in(read_until("log-lines-dropped").back()), dropped_since(then));
}

TEST_F(log_queue, gives_lines_the_time_of_their_call) {
  block();
  warn("server", "early", "a line that waits");
  // The next line is at least two milliseconds younger, and both are read together.
  const auto until = std::chrono::steady_clock::now() + 2ms;
  while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
  warn("server", "late", "a line that waits");
  const auto read = read_until("late");
  ASSERT_EQ(read.size(), 2U);
  EXPECT_LT(read[0].substr(0, 24), read[1].substr(0, 24));
}

TEST_F(log_queue, goes_on_in_the_new_file_when_the_reader_of_the_old_one_is_stuck) {
  block();
  for (int i = 0; i < 3; ++i) info("server", "e", "before " + std::to_string(i));
  s.file = folder + "/log";
  ASSERT_TRUE(configure(s));
  info("server", "e", "after");
  EXPECT_EQ(texts(), (std::vector<std::string>{"before 0", "before 1", "before 2", "after"}));
  EXPECT_EQ(statistics().queued, 0U);
}

TEST_F(log_queue, keeps_the_order_of_each_thread) {
  ASSERT_TRUE(configure(s));
  constexpr int threads = 8, each = 3000;  // together below the bound
  std::vector<std::thread> running;
  for (int t = 0; t < threads; ++t)
    running.emplace_back([t] {
      for (int i = 0; i < each; ++i)
        info("server", "e", "line", {{"thread", std::to_string(t)}, {"number", std::to_string(i)}});
    });
  for (auto& r : running) r.join();
  const auto written = texts();
  ASSERT_EQ(written.size(), std::size_t{threads} * each);
  std::array<int, threads> next{};
  for (const auto& line : written) {
    int t = 0, i = 0;
    ASSERT_EQ(std::sscanf(line.c_str(), "line thread=%d number=%d", &t, &i), 2) << line;
    ASSERT_EQ(next.at(static_cast<std::size_t>(t))++, i);
  }
}

TEST_F(log_queue, lets_levels_and_files_change_while_threads_log) {
  ASSERT_TRUE(configure(s));
  const auto then = statistics();
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> sent{0};
  std::vector<std::thread> running;
  for (int t = 0; t < 4; ++t)
    running.emplace_back([&] {
      for (int i = 0; i < 2000 || !over; ++i) {
        error("server", "e", "an error passes every level");
        ++sent;
        if (i % 100 == 0) flush();
      }
    });
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(set_level(i % 2 == 0 ? "server" : "", i % 3 == 0 ? level::error : level::debug));
    EXPECT_TRUE(i % 10 != 0 || configure(s));
    (void)statistics();
    (void)levels();
  }
  over = true;
  for (auto& r : running) r.join();
  ASSERT_TRUE(flush());
  EXPECT_EQ(statistics().dropped, then.dropped);
  EXPECT_EQ(lines().size(), sent.load());
}

/// Sends standard error elsewhere while it lives.
class redirected_stderr {
 public:
  explicit redirected_stderr(int to) : before_(::dup(STDERR_FILENO)) { ::dup2(to, STDERR_FILENO); }
  ~redirected_stderr() {
    flush();
    ::dup2(before_.get(), STDERR_FILENO);
  }
  redirected_stderr(const redirected_stderr&) = delete;
  redirected_stderr& operator=(const redirected_stderr&) = delete;

 private:
  descriptor before_;
};

TEST_F(log_queue, writes_many_lines_with_one_call_and_never_a_part_of_one) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
  const descriptor in{ends[0]};
  descriptor out{ends[1]};
  std::vector<std::string> packets;  // one for each write
  std::thread reader{[&] {
    std::array<char, 65536> buffer{};
    for (;;) {
      const auto n = ::recv(in.get(), buffer.data(), buffer.size(), 0);
      if (n <= 0) return;
      packets.emplace_back(buffer.data(), static_cast<std::size_t>(n));
    }
  }};
  constexpr std::size_t sent = 2000;
  {
    const redirected_stderr to_socket{out.get()};
    ASSERT_TRUE(configure({}));
    for (std::size_t i = 0; i < sent; ++i) info("server", "e", "short");
    EXPECT_TRUE(flush());
  }
  out.close();
  reader.join();
  ASSERT_TRUE(configure({}));  // the log forgets that standard error was a socket
  std::ptrdiff_t found = 0;
  for (const auto& p : packets) {
    EXPECT_TRUE(p.ends_with("short\n"));
    EXPECT_LE(p.size(), 4096U);
    found += std::count(p.begin(), p.end(), '\n');
  }
  EXPECT_EQ(found, static_cast<std::ptrdiff_t>(sent));
  EXPECT_LT(packets.size(), sent / 4);
}

}  // namespace
}  // namespace cpns::log
