// The file of the log: rotation, a disk that fails, and pipes.

#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/descriptor.hpp"
#include "log_fixture.hpp"

namespace cpns::log {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

class log_file : public log_test {
 protected:
  /// Logs numbered lines until `done`; waits for changes in the folder meanwhile.
  template <class Done>
  void log_until(Done done) {
    const descriptor changes{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
    ASSERT_GE(::inotify_add_watch(changes.get(), folder.c_str(), IN_CREATE), 0);
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (!done()) {
      ASSERT_LT(std::chrono::steady_clock::now(), until);
      info("server", "e", std::to_string(logged++));
      flush();
      pollfd wait{changes.get(), POLLIN, 0};
      std::array<char, 4096> events{};
      if (::poll(&wait, 1, 20) > 0 && ::read(changes.get(), events.data(), events.size()) < 0) FAIL();
    }
  }
  /// "0", "1", ... of all lines logged by `log_until`.
  [[nodiscard]] std::vector<std::string> numbers() const {
    std::vector<std::string> out;
    for (int i = 0; i < logged; ++i) out.push_back(std::to_string(i));
    return out;
  }
  static std::vector<std::string> both(std::vector<std::string> a, const std::vector<std::string>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }
  static mode_t mode_of(const std::string& file) {
    struct stat about {};
    return ::stat(file.c_str(), &about) == 0 ? about.st_mode & 07777U : 0U;
  }
  void write_to_full_disk() {
    fs::create_symlink("/dev/full", s.file);
    ASSERT_TRUE(configure(s));
  }
  void replace_by_a_working_file() {
    std::ofstream{folder + "/working"};
    fs::create_symlink("working", folder + "/fresh");
    fs::rename(folder + "/fresh", s.file);
  }

  int logged = 0;
  const std::string old = folder + "/log.1";
};

TEST_F(log_file, is_made_again_after_it_was_renamed) {
  ASSERT_TRUE(configure(s));
  log_until([this] { return logged == 3; });
  fs::rename(s.file, old);
  log_until([this] { return fs::exists(s.file); });
  EXPECT_FALSE(lines().empty()) << "the line that made it";
  EXPECT_EQ(both(texts_of(old), texts()), numbers());
  const auto mask = ::umask(0);
  ::umask(mask);
  EXPECT_EQ(mode_of(s.file), 0666U & ~mask);
  EXPECT_EQ(mode_of(old), mode_of(s.file));
}

TEST_F(log_file, is_opened_again_once) {
  ASSERT_TRUE(configure(s));
  fs::rename(s.file, old);
  log_until([this] { return fs::exists(s.file); });
  const descriptor opens{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
  ASSERT_GE(::inotify_add_watch(opens.get(), s.file.c_str(), IN_OPEN), 0);
  log_until([this, first = logged] { return logged == first + 70; });  // longer than a second
  std::array<char, 4096> events{};
  EXPECT_LT(::read(opens.get(), events.data(), events.size()), 0)
      << "the path was opened although it is the same";
}

TEST_F(log_file, is_made_again_after_it_was_removed_with_its_folder) {
  s.file = folder + "/logs/today/log";
  ASSERT_TRUE(configure(s)) << "makes the folders";
  info("server", "e", "one");
  ASSERT_EQ(lines().size(), 1U);
  fs::remove_all(folder + "/logs");
  log_until([this] { return fs::exists(s.file); });
  EXPECT_FALSE(lines().empty());
}

TEST_F(log_file, of_another_process_that_took_the_name_is_continued) {
  ASSERT_TRUE(configure(s));
  info("server", "e", "one");
  ASSERT_TRUE(flush());
  std::ofstream{folder + "/fresh"} << "a line of a rotation: hello\n";
  fs::rename(s.file, old);
  fs::rename(folder + "/fresh", s.file);
  log_until([this] { return lines().size() > 1; });
  auto continued = texts();
  EXPECT_EQ(continued.front(), "hello");
  continued.erase(continued.begin());
  EXPECT_EQ(both(texts_of(old), continued), both({"one"}, numbers()));
}

TEST_F(log_file, is_followed_at_once_when_the_log_is_configured_again) {
  ASSERT_TRUE(configure(s));
  info("server", "e", "one");
  ASSERT_TRUE(flush());
  fs::rename(s.file, old);
  info("server", "e", "two");
  ASSERT_TRUE(configure(s));
  info("server", "e", "three");
  EXPECT_THAT(texts(), ElementsAre("three"));
  EXPECT_THAT(texts_of(old), ElementsAre("one", "two"));
}

TEST_F(log_file, that_cannot_be_opened_again_leaves_the_old_one_in_use) {
  ASSERT_TRUE(configure(s));
  info("server", "e", "one");
  ASSERT_TRUE(flush());
  fs::rename(s.file, old);
  fs::create_directory(s.file);
  log_until([this] {
    return testing::Value(lines_of(old), testing::Contains(HasSubstr("log-file-not-reopened")));
  });
  // It is said once, although each second brings another attempt.
  log_until([this, first = logged] { return logged == first + 70; });
  const auto written = lines_of(old);
  EXPECT_EQ(written.size(), static_cast<std::size_t>(logged) + 2);
  EXPECT_THAT(written,
              testing::Contains(testing::AllOf(HasSubstr("warn  log log-file-not-reopened"),
                                               HasSubstr("file=" + s.file), HasSubstr("Is a directory"))));
  fs::remove(s.file);
  log_until([this] { return fs::is_regular_file(s.file); });
}

TEST_F(log_file, that_cannot_be_opened_leaves_the_former_settings) {
  s.threshold = level::warn;
  ASSERT_TRUE(configure(s));
  auto bad = s;
  bad.file = folder + "/log/below/a/file";
  bad.threshold = level::debug;
  warn("server", "e", "one");
  ASSERT_TRUE(flush());
  const auto refused = configure(bad);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::config_file);
  EXPECT_THAT(refused.error().detail, HasSubstr("Not a directory"));
  info("server", "e", "below");
  warn("server", "e", "two");
  EXPECT_THAT(texts(), ElementsAre("one", "two"));
}

TEST_F(log_file, on_a_full_disk_gets_its_lines_when_there_is_space) {
  write_to_full_disk();
  const auto before = statistics();
  info("server", "e", "one");
  EXPECT_FALSE(flush(60s)) << "returns at once, because the disk fails";
  EXPECT_GE(statistics().write_errors, before.write_errors + 1);
  info("server", "e", "two");
  error("server", "e", "three");
  EXPECT_FALSE(flush(60s));
  EXPECT_EQ(statistics().queued, 3U);
  EXPECT_EQ(statistics().dropped, before.dropped);
  replace_by_a_working_file();
  const auto until = std::chrono::steady_clock::now() + 20s;
  while (!flush(1s)) ASSERT_LT(std::chrono::steady_clock::now(), until);
  ASSERT_TRUE(flush()) << "the line about the failures";
  const auto written = texts();
  ASSERT_EQ(written.size(), 4U);
  EXPECT_THAT(written, testing::IsSupersetOf({"one", "two", "three"}));
  EXPECT_THAT(lines(), testing::Contains(testing::AllOf(HasSubstr("warn  log log-written-again"),
                                                        HasSubstr("cause=\"No space left on device\""))));
  EXPECT_EQ(statistics().queued, 0U);
}

TEST_F(log_file, on_a_full_disk_is_tried_once_a_second_without_a_flush) {
  write_to_full_disk();
  const auto before = statistics();
  for (int i = 0; i < 100; ++i) error("server", "e", "an error that wakes the writer");
  EXPECT_FALSE(flush());
  const auto begun = std::chrono::steady_clock::now();
  const auto next_attempt = [&] {
    const auto errors = statistics().write_errors;
    while (statistics().write_errors == errors && std::chrono::steady_clock::now() < begun + 20s) {
      error("server", "e", "an error that does not");
      std::this_thread::yield();
    }
    return std::chrono::steady_clock::now();
  };
  const auto first = next_attempt();
  EXPECT_GE(next_attempt() - first, 500ms);
  EXPECT_LE(statistics().write_errors - before.write_errors, 6U);
  replace_by_a_working_file();
  while (!flush(1s)) ASSERT_LT(std::chrono::steady_clock::now(), begun + 30s);
}

TEST_F(log_file, lines_go_into_the_new_file_when_the_old_disk_is_full) {
  write_to_full_disk();
  info("server", "e", "one");
  EXPECT_FALSE(flush(60s));
  s.file = folder + "/other";
  ASSERT_TRUE(configure(s));
  info("server", "e", "two");
  ASSERT_TRUE(flush());
  const auto written = texts();
  ASSERT_EQ(written.size(), 3U);
  EXPECT_EQ(written[0], "one");
  EXPECT_THAT(written, testing::Contains("two"));
}

/// Limits the size of files of this process, so that a write takes a part of its bytes and the next one fails.
class file_limit {
 public:
  explicit file_limit(rlim_t bytes) {
    ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    set({bytes, before_.rlim_max});
  }
  ~file_limit() { lift(); }
  file_limit(const file_limit&) = delete;
  file_limit& operator=(const file_limit&) = delete;
  void lift() const { set(before_); }

 private:
  static void set(rlimit to) { ::setrlimit(RLIMIT_FSIZE, &to); }
  rlimit before_{};
};

TEST_F(log_file, has_no_torn_line_when_a_full_disk_has_space_again) {
  ASSERT_TRUE(configure(s));
  {
    const file_limit limit{1000};
    for (int i = 0; i < 100; ++i)
      info("server", "e", "a line of some length", {{"number", std::to_string(i)}});
    EXPECT_FALSE(flush(60s));
    EXPECT_EQ(fs::file_size(s.file), 1000U);
  }
  const auto until = std::chrono::steady_clock::now() + 20s;
  while (!flush(1s)) ASSERT_LT(std::chrono::steady_clock::now(), until);
  auto written = texts();
  ASSERT_EQ(written.size(), 101U);
  for (std::size_t i = 0; i < 100; ++i)
    EXPECT_EQ(written[i], "a line of some length number=" + std::to_string(i));
}

TEST_F(log_file, begins_with_a_whole_line_when_the_old_one_ends_with_a_torn_one) {
  ASSERT_TRUE(configure(s));
  const auto until = std::chrono::steady_clock::now() + 20s;
  {
    const file_limit limit{1000};
    for (int i = 0; i < 100; ++i)
      info("server", "e", "a line of some length", {{"number", std::to_string(i)}});
    EXPECT_FALSE(flush(60s));
    fs::rename(s.file, old);
    while (!fs::exists(s.file)) {
      EXPECT_FALSE(flush(60s));
      ASSERT_LT(std::chrono::steady_clock::now(), until);
    }
  }
  while (!flush(1s)) ASSERT_LT(std::chrono::steady_clock::now(), until);
  auto before = texts_of(old);
  EXPECT_EQ(fs::file_size(old), 1000U);
  before.pop_back();  // the torn one
  const auto after = texts();
  ASSERT_EQ(before.size() + after.size(), 101U) << "with the line about the failure";
  for (std::size_t i = 0; i < 100; ++i)
    EXPECT_EQ(i < before.size() ? before[i] : after[i - before.size()],
              "a line of some length number=" + std::to_string(i));
}

TEST_F(log_file, can_be_a_pipe_whose_reader_comes_later) {
  s.file = folder + "/fifo";
  ASSERT_EQ(::mkfifo(s.file.c_str(), 0600), 0);
  ASSERT_TRUE(configure(s));
  info("server", "e", "waits for its reader");
  ASSERT_TRUE(flush());
  std::ifstream in{s.file};
  std::string line;
  ASSERT_TRUE(std::getline(in, line));
  EXPECT_THAT(line, HasSubstr("waits for its reader"));
}

}  // namespace
}  // namespace cpns::log
