#include "cli/keys/waiting.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <iostream>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace cpns::cli::keys {
namespace {

constexpr int signal_base = 128;  // as shells add it

sigset_t door_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int s : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&set, s);
  return set;
}

/// In the child, between fork and exec. Writes errno to `report` if it fails.
[[noreturn]] void become(const program::start_options& o, char* const* argv, pid_t parent, int report) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // no program goes on with a key that nobody follows
  if (::getppid() != parent) ::_exit(signal_base - 1);
  ::signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  bool good = true;
  if (!o.reads_input) {
    const int null = ::open("/dev/null", O_RDONLY);
    good = null >= 0 && ::dup2(null, STDIN_FILENO) >= 0;
  }
  if (good && o.fd >= 0) {
    // `report` may have the number that the program wants.
    report = ::fcntl(report, F_DUPFD_CLOEXEC, std::max(report, o.as_fd) + 1);
    good = o.fd == o.as_fd ? ::fcntl(o.fd, F_SETFD, 0) == 0 : ::dup2(o.fd, o.as_fd) >= 0;
  }
  if (good && !o.variable.empty()) good = ::setenv(o.variable.c_str(), o.value.c_str(), 1) == 0;
  if (good) ::execvp(argv[0], argv);
  const int why = errno;
  [[maybe_unused]] const auto written = ::write(report, &why, sizeof why);
  ::_exit(signal_base - 1);
}

}  // namespace

signal_door::signal_door() {
  const auto set = door_signals();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  fd_ = descriptor{::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
}

std::optional<signal_door::arrived> signal_door::next() {
  signalfd_siginfo info{};
  while (::read(fd_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGCHLD) continue;
    return arrived{static_cast<int>(info.ssi_signo), info.ssi_code == SI_KERNEL};
  }
  return std::nullopt;
}

void say(const std::string& sentence) { std::cerr << "cpns: " << sentence << "\n"; }

void wait_for(std::vector<pollfd>& polled, instant until) {
  const auto now = std::chrono::steady_clock::now();
  int ms = -1;
  if (until != instant::max()) {
    const auto left = std::chrono::ceil<milliseconds>(until - now).count();
    ms = static_cast<int>(std::clamp<std::int64_t>(left, 0, INT_MAX));
  }
  ::poll(polled.data(), polled.size(), ms);
}

result<program> program::start(const start_options& o) {
  auto words = o.words;
  std::vector<char*> argv;
  for (auto& w : words) argv.push_back(w.data());
  argv.push_back(nullptr);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return fail(errc::internal, std::string{"pipe: "} + std::strerror(errno));
  const descriptor reads{ends[0]};
  descriptor writes{ends[1]};
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return fail(errc::internal, std::string{"fork: "} + std::strerror(errno));
  if (pid == 0) become(o, argv.data(), parent, writes.get());
  writes.close();
  int why = 0;
  ssize_t got = 0;
  do got = ::read(reads.get(), &why, sizeof why);
  while (got < 0 && errno == EINTR);
  if (got <= 0) return program{pid};
  ::waitpid(pid, nullptr, 0);
  return fail(errc::config_file, "cannot start " + o.words.front() + ": " + std::strerror(why));
}

program::program(program&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), code_(other.code_), killed_by_(other.killed_by_),
      kill_at_(other.kill_at_) {}

program::~program() {
  if (pid_ < 0 || ended()) return;
  if (!stopping()) stop();
  while (!ended()) {
    turn();
    std::vector<pollfd> none;
    wait_for(none, std::chrono::steady_clock::now() + milliseconds{20});
  }
}

std::optional<int> program::ended() {
  int how = 0;
  if (!code_ && ::waitpid(pid_, &how, WNOHANG) == pid_) {
    killed_by_ = WIFSIGNALED(how) ? WTERMSIG(how) : 0;
    code_ = killed_by_ != 0 ? signal_base + killed_by_ : WEXITSTATUS(how);
  }
  return code_;
}

program::reception program::reception_of(int number) const {
  std::ifstream status{"/proc/" + std::to_string(pid_) + "/status"};
  bool told = false, blocked = false;
  for (std::string text; std::getline(status, text);) {
    const bool caught = text.starts_with("SigCgt:");
    if (!caught && !text.starts_with("SigBlk:")) continue;
    told = true;
    const auto set = std::strtoull(text.c_str() + text.find(':') + 1, nullptr, 16);
    if ((set >> static_cast<unsigned>(number - 1) & 1U) == 0) continue;
    if (caught) return reception::handled;
    blocked = true;
  }
  if (!told) return reception::handled;
  return blocked ? reception::blocked : reception::none;
}

void program::send(int number) const {
  if (!code_) ::kill(pid_, number);
}

void program::stop() {
  send(SIGTERM);
  kill_at_ = std::chrono::steady_clock::now() + patience;
}

void program::turn() {
  if (kill_at_ && std::chrono::steady_clock::now() >= *kill_at_) {
    send(SIGKILL);
    kill_at_ = instant::max();  // stopping, and nothing more to send
  }
}

std::string ending_text(int code) {
  if (code <= signal_base) return "code " + std::to_string(code);
  const int number = code - signal_base;
  const char* const name = ::strsignal(number);
  return "signal " + std::to_string(number) + (name != nullptr ? " (" + std::string{name} + ")" : "");
}

}  // namespace cpns::cli::keys
