#include "cli/ready_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace cpns::cli {
namespace {

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

}  // namespace

result<ready_file> ready_file::claim(std::filesystem::path file) {
  if (file.empty()) return ready_file({});
  const descriptor there(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  if (!there.valid()) {
    if (errno == ENOENT) return ready_file(std::move(file));
    return ready_fault(file, std::strerror(errno));
  }
  struct stat about {};
  if (::fstat(there.get(), &about) != 0) return ready_fault(file, std::strerror(errno));
  if (!S_ISREG(about.st_mode)) return ready_fault(file, "something else is there; name a path of its own");
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
  struct stat ours {
  }, there{};
  const bool still = held_.valid() && ::fstat(held_.get(), &ours) == 0 &&
                     ::lstat(path_.c_str(), &there) == 0 && ours.st_ino == there.st_ino &&
                     ours.st_dev == there.st_dev;
  if (still) ::unlink(path_.c_str());
  held_.close();
}

void remove_stale_ready_file(const std::filesystem::path& file) {
  const descriptor there(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  if (there.valid() && !pid_in(there.get()).empty() && ::flock(there.get(), LOCK_EX | LOCK_NB) == 0)
    ::unlink(file.c_str());
}

}  // namespace cpns::cli
