#include "cli/demo/child_process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <thread>
#include <utility>

namespace cpns::cli {
namespace {

constexpr int cannot_start = 127;

/// System calls, because the functions of libc want all threads to follow, and there is one.
bool become(const account& who) {
  return ::syscall(SYS_setgroups, 0, nullptr) == 0 &&
         ::syscall(SYS_setresgid, who.group, who.group, who.group) == 0 &&
         ::syscall(SYS_setresuid, who.user, who.user, who.user) == 0;
}

}  // namespace

process_usage usage_of(pid_t pid) {
  process_usage out;
  clockid_t clock{};
  timespec used{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &used) != 0) return out;
  out.cpu = std::chrono::seconds{used.tv_sec} + std::chrono::nanoseconds{used.tv_nsec};
  std::uint64_t all = 0, resident = 0;  // pages
  if (std::ifstream{"/proc/" + std::to_string(pid) + "/statm"} >> all >> resident)
    out.resident_kb = resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) / 1024;
  return out;
}

result<child_process> child_process::start(const std::vector<std::string>& args, const std::string& output) {
  std::vector<std::string> words{"cpns"};
  words.insert(words.end(), args.begin(), args.end());
  return start("/proc/self/exe", std::move(words), output, std::nullopt);
}

result<child_process> child_process::start(const std::string& program, std::vector<std::string> words,
                                           const std::string& output, std::optional<account> as) {
  // All allocations come before fork: between fork and exec only async-signal-safe calls are allowed.
  std::vector<char*> argv;
  for (auto& w : words) argv.push_back(w.data());
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();

  const pid_t pid = ::fork();
  if (pid < 0) return fail(errc::internal, std::string{"fork: "} + std::strerror(errno));
  if (pid == 0) {
    ::setpgid(0, 0);  // Ctrl-C reaches the demo alone, which then ends the roles in order
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    const int fd = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    const int null = ::open("/dev/null", O_RDONLY);
    if (fd < 0 || null < 0) ::_exit(cannot_start);
    ::dup2(null, 0);
    ::dup2(fd, 1);
    ::dup2(fd, 2);
    ::close_range(3, ~0U, 0);  // a role holds no socket and no lock of another process
    if (as && !become(*as)) ::_exit(cannot_start);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // after the change of the user, which clears it
    if (::getppid() != parent) ::_exit(cannot_start);
    ::execv(program.c_str(), argv.data());
    ::_exit(cannot_start);
  }
  return child_process{pid};
}

void child_process::ask_to_end() {
  if (pid_ >= 0 && !poll()) ::kill(pid_, SIGTERM);
}

child_process& child_process::operator=(child_process&& other) noexcept {
  if (this != &other) {
    stop();
    pid_ = other.pid_;
    code_ = other.code_;
    other.pid_ = -1;
  }
  return *this;
}

std::optional<int> child_process::poll() {
  if (pid_ < 0 || code_) return code_;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == pid_)
    code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return code_;
}

int child_process::stop() {
  if (pid_ < 0) return code_.value_or(0);
  if (!poll()) ::kill(pid_, SIGTERM);
  for (int i = 0; i < 1000 && !poll(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  if (!poll()) {
    ::kill(pid_, SIGKILL);
    while (!poll()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  pid_ = -1;
  return code_.value_or(0);
}

}  // namespace cpns::cli
