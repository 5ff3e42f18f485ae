#include "cli/daemon.hpp"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <limits>
#include <memory>

#include "base/log.hpp"

namespace cpns::cli {
namespace {

sigset_t served_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, s);
  return set;
}

constexpr std::string_view pid_word = "pid ";

tl::unexpected<error> ready_fault(const std::filesystem::path& file, const std::string& why) {
  return fail(errc::config_file, "ready_file " + file.string() + ": " + why);
}

/// The process id in the last line; empty if there is none.
std::string pid_in(int fd) {
  std::array<char, 4096> buffer{};
  const auto n = ::pread(fd, buffer.data(), buffer.size(), 0);
  std::string_view text(buffer.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
  if (!text.ends_with('\n')) return {};
  text.remove_suffix(1);
  const auto line = text.substr(text.find('\n') + 1);
  if (!line.starts_with(pid_word)) return {};
  const auto digits = line.substr(pid_word.size());
  const bool number = !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
  return number ? std::string{digits} : std::string{};
}

/// The announcement of a reload. Units of `Type=notify-reload` (systemd 253) take it only with the time.
std::string reloading() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return "RELOADING=1\nMONOTONIC_USEC=" +
         std::to_string(std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000);
}

/// sd_notify(3): "READY=1", "STOPPING=1", "RELOADING=1". Does nothing without NOTIFY_SOCKET.
void notify_service_manager(const std::string& state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  const std::size_t size = std::strlen(path);
  if (size >= sizeof to.sun_path) return;
  std::memcpy(to.sun_path, path, size);
  if (path[0] == '@') to.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  ::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to),
           static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size));
  ::close(fd);
}

constexpr std::uint64_t other_files = 128;  // stores, logs, control sockets

}  // namespace

void forbid_core_files() {
  // RLIMIT_CORE does not hold where the system pipes core files to a program.
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void bind_libraries_at_once(char* const* argv) {
  constexpr const char *wish = "LD_BIND_NOW", *mark = "CPNS_BOUND";
  if (std::getenv(mark) != nullptr) {
    ::unsetenv(mark);
    ::unsetenv(wish);  // programs that this one starts have nothing to do with it
    return;
  }
  // An empty value is none to the loader.
  if (const char* given = std::getenv(wish); given != nullptr && *given != '\0') return;
  // The link itself would give the process another name in lists. It names the loader if that was asked to run this program.
  std::array<char, PATH_MAX> path{};
  if (::getauxval(AT_SECURE) != 0 || ::readlink("/proc/self/exe", path.data(), path.size() - 1) <= 0 ||
      std::string_view{path.data()}.substr(std::string_view{path.data()}.rfind('/') + 1).starts_with("ld-"))
    return;
  if (::setenv(mark, "1", 1) == 0 && ::setenv(wish, "1", 1) == 0) ::execv(path.data(), argv);
  ::unsetenv(mark);
  ::unsetenv(wish);
}

void write_log_before_terminate() {
  static const auto before = std::get_terminate();
  std::set_terminate([] {
    // If this thread ends inside the log, the flush waits for itself.
    ::signal(SIGALRM, SIG_DFL);
    ::alarm(1);
    log::flush(std::chrono::milliseconds{200});
    before();
  });
}

std::uint64_t raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  return limit.rlim_cur;
}

std::uint64_t connections_of_process() {
  const auto most = raise_file_limit();
  return most == 0 ? std::numeric_limits<std::uint32_t>::max() : most - std::min(other_files, most / 2);
}

void warn_of_files(const std::string& role, const std::string& key, std::uint64_t connections) {
  const auto most = raise_file_limit();
  if (most == 0 || connections + other_files <= most) return;
  log::warn(role, "limits-contradict",
            key + " is " + std::to_string(connections) + ", and this process may open " +
                std::to_string(most) + " files, of which it needs " + std::to_string(other_files) +
                " for other things: raise its limit (ulimit -n, LimitNOFILE) or lower " + key);
}

void block_signals() {
  const auto set = served_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

signal_watch::signal_watch(std::string role) : role_(std::move(role)), thread_([this] { run(); }) {}

signal_watch::~signal_watch() {
  {
    std::lock_guard lock{guard_};
    over_ = true;
  }
  pthread_kill(thread_.native_handle(), SIGHUP);
  thread_.join();
  sigset_t ends;
  sigemptyset(&ends);
  for (int s : {SIGTERM, SIGINT}) sigaddset(&ends, s);
  pthread_sigmask(SIG_UNBLOCK, &ends, nullptr);
}

void signal_watch::run() {
  const auto set = served_signals();
  for (;;) {
    const int got = sigwaitinfo(&set, nullptr);
    std::unique_lock lock{guard_};
    if (over_) return;
    if (got <= 0) continue;
    if (got == SIGHUP) {
      // One pending reload serves several requests.
      if (std::find(waiting_.begin(), waiting_.end(), SIGHUP) == waiting_.end()) waiting_.push_back(got);
    } else if (asked_to_end_) {
      lock.unlock();
      end_at_once();
    } else {
      asked_to_end_ = true;
      waiting_.push_back(got);
    }
    arrived_.notify_all();
  }
}

void signal_watch::end_at_once() {
  log::warn(role_, "drain-cut", "a second signal: ending at once");
  log::flush(std::chrono::milliseconds{200});  // the disk of the log may be the one that hangs
  _exit(1);
}

int signal_watch::next(int ms) {
  std::unique_lock lock{guard_};
  arrived_.wait_for(lock, std::chrono::milliseconds{ms}, [this] { return !waiting_.empty(); });
  if (waiting_.empty()) return 0;
  const int s = waiting_.front();
  waiting_.pop_front();
  return s;
}

void signal_watch::ending() {
  std::lock_guard lock{guard_};
  asked_to_end_ = true;
}

bool cancelled() {
  sigset_t set;
  sigpending(&set);
  if (sigismember(&set, SIGINT) == 1 || sigismember(&set, SIGTERM) == 1) return true;
  // A blocked signal waits even where it is ignored, as under nohup.
  struct sigaction how {};
  return sigismember(&set, SIGHUP) == 1 && ::sigaction(SIGHUP, nullptr, &how) == 0 &&
         how.sa_handler != SIG_IGN;
}

result<ready_file> ready_file::claim(std::filesystem::path file) {
  if (file.empty()) return ready_file({});
  const descriptor there(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  if (!there.valid()) {
    if (errno == ENOENT) return ready_file(std::move(file));
    return ready_fault(file, std::strerror(errno));
  }
  struct stat about {};
  if (::fstat(there.get(), &about) != 0) return ready_fault(file, std::strerror(errno));
  if (!S_ISREG(about.st_mode)) return ready_fault(file, "this is not a regular file; name another path");
  if (::flock(there.get(), LOCK_EX | LOCK_NB) != 0) {
    const auto pid = pid_in(there.get());
    return fail(errc::store_locked, "ready_file " + file.string() + " is held by " +
                                        (pid.empty() ? "another process" : "process " + pid) +
                                        ", which is running; stop it, or name another file");
  }
  if (::unlink(file.c_str()) != 0 && errno != ENOENT) return ready_fault(file, std::strerror(errno));
  return ready_file(std::move(file));
}

status ready_file::write(const std::string& text) {
  if (path_.empty()) return {};
  const auto fresh = path_.string() + ".new";
  const auto content = text + "\n" + std::string{pid_word} + std::to_string(::getpid()) + "\n";
  descriptor made(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  const bool done =
      made.valid() && ::flock(made.get(), LOCK_EX | LOCK_NB) == 0 &&
      ::write(made.get(), content.data(), content.size()) == static_cast<ssize_t>(content.size()) &&
      ::rename(fresh.c_str(), path_.c_str()) == 0;
  if (!done) return ready_fault(path_, std::strerror(errno));
  held_ = std::move(made);
  return {};
}

void ready_file::remove() noexcept {
  struct stat held {
  }, found{};
  const bool same = held_.valid() && ::fstat(held_.get(), &held) == 0 &&
                    ::lstat(path_.c_str(), &found) == 0 && held.st_ino == found.st_ino &&
                    held.st_dev == found.st_dev;
  if (same) ::unlink(path_.c_str());
  held_.close();
}

void remove_stale_ready_file(const std::filesystem::path& file) {
  const descriptor there(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  if (there.valid() && !pid_in(there.get()).empty() && ::flock(there.get(), LOCK_EX | LOCK_NB) == 0)
    ::unlink(file.c_str());
}

// The hooks run in the thread that started the role: CAF keeps a reference to an actor system in every thread that
// made actors. A system that ends in another thread waits for that reference.
int serve(signal_watch& signals, const std::string& role, const daemon_hooks& hooks) {
  notify_service_manager("READY=1");
  for (;;) {
    const int s = signals.next(100);
    if (s == SIGHUP) {
      notify_service_manager(reloading());
      hooks.reload();
      notify_service_manager("READY=1");
    } else if (s == SIGTERM || s == SIGINT) {
      log::info(role, "draining",
                std::string{s == SIGTERM ? "SIGTERM" : "SIGINT"} + ": finishing the work in progress");
      notify_service_manager("STOPPING=1");
      hooks.drain();
      log::info(role, "stopped", "the role has ended");
      return 0;
    } else if (hooks.failed()) {
      log::error(role, "failed", "the role cannot continue; the errors above give the cause");
      notify_service_manager("STOPPING=1");
      signals.ending();
      hooks.drain();
      return 1;
    }
  }
}

}  // namespace cpns::cli
