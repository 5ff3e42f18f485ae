#include "base/log_output.hpp"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

namespace cpns::log::detail {
namespace {

constexpr std::chrono::seconds look_every{1};
constexpr int reader_patience_ms = 200;

/// O_NONBLOCK has no effect on files, and lets the writer leave a FIFO that nobody reads.
int open_for_lines(const std::string& path) {
  std::error_code ignored;
  if (const auto folder = std::filesystem::path{path}.parent_path(); !folder.empty())
    std::filesystem::create_directories(folder, ignored);
  constexpr int always = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | always, 0666);
  if (fd >= 0 || errno != ENXIO) return fd;
  // A FIFO without a reader, which would be an error only because the reader starts later.
  return ::open(path.c_str(), O_RDWR | always);
}

/// The longest beginning that ends with a line, of at most PIPE_BUF bytes: the kernel writes it as a whole, also
/// between those of other processes, and without blocking if poll said that there is room.
std::string_view piece_for_a_reader(std::string_view lines) {
  if (lines.size() <= PIPE_BUF) return lines;
  const auto end = lines.rfind('\n', PIPE_BUF - 1);
  return lines.substr(0, end == std::string_view::npos ? PIPE_BUF : end + 1);
}

}  // namespace

result<std::shared_ptr<output>> output::open(std::string file) {
  if (file.empty()) return standard_error();
  descriptor opened{open_for_lines(file)};
  if (!opened.valid())
    return fail(errc::config_file,
                "the log file " + file + " cannot be opened for writing: " + std::strerror(errno));
  const int fd = opened.get();
  std::shared_ptr<output> out{new output(std::move(file), std::move(opened), fd)};
  out->learn_kind();
  return out;
}

std::shared_ptr<output> output::standard_error() {
  std::shared_ptr<output> out{new output({}, {}, STDERR_FILENO)};
  out->learn_kind();
  return out;
}

void output::learn_kind() {
  struct stat about {};
  if (::fstat(fd_, &about) != 0) return;
  has_reader_ = S_ISFIFO(about.st_mode) || S_ISCHR(about.st_mode) || S_ISSOCK(about.st_mode);
  device_ = about.st_dev;
  inode_ = about.st_ino;
  // systemd.exec(5): a child whose standard error was redirected has the variable too, but not the numbers.
  const auto* stream = std::getenv("JOURNAL_STREAM");
  is_journal_ =
      path_.empty() && stream != nullptr && std::to_string(device_) + ":" + std::to_string(inode_) == stream;
}

bool output::reopen_if_renamed() {
  const auto now = std::chrono::steady_clock::now();
  if (path_.empty() || now < looked_ + look_every) return false;
  looked_ = now;
  struct stat there {};
  const bool found = ::stat(path_.c_str(), &there) == 0;
  if (found ? there.st_dev == device_ && there.st_ino == inode_ : errno != ENOENT && errno != ENOTDIR) {
    failing_ = false;
    return false;
  }
  const descriptor fresh{open_for_lines(path_)};
  if (!fresh.valid() || ::dup3(fresh.get(), fd_, O_CLOEXEC) < 0) {
    if (!failing_) trouble_ = errno;
    failing_ = true;
    return false;
  }
  failing_ = false;
  learn_kind();
  return true;
}

output::step output::write_some(std::string_view lines, bool follow_name) {
  if (follow_name && reopen_if_renamed()) return {.reopened = true};
  if (has_reader_) {
    pollfd wait{fd_, POLLOUT, 0};
    if (::poll(&wait, 1, reader_patience_ms) <= 0) return {};
    lines = piece_for_a_reader(lines);
  }
  const auto n = ::write(fd_, lines.data(), lines.size());
  if (n >= 0) return {.written = static_cast<std::size_t>(n)};
  return {.error = errno == EAGAIN || errno == EINTR ? 0 : errno};
}

int output::take_trouble() { return std::exchange(trouble_, 0); }

void output::write_now(std::string_view line) const {
  while (!line.empty()) {
    const auto n = ::write(fd_, line.data(), line.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    line.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace cpns::log::detail
