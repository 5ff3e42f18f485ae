#include "audit/trail_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "audit/trail.hpp"
#include "crypto/sha256_stream.hpp"
#include "storage/file.hpp"

namespace cpns::audit {
namespace {

constexpr std::size_t read_size = 64 * 1024;

tl::unexpected<error> bad_file(const std::filesystem::path& path, const std::string& why) {
  return fail(errc::config_file, "the audit file " + path.string() + ": " + why);
}

/// Errors of a disk that may pass: the role runs meanwhile, and changes are refused.
bool may_pass(int number) { return number == ENOSPC || number == EDQUOT || number == EROFS || number == EIO; }

tl::unexpected<error> open_failed(const std::filesystem::path& path, int number) {
  if (may_pass(number))
    return fail(storage::file_error(number, errc::store_write_failed, "cannot open the audit file", path));
  if (number == ELOOP) return bad_file(path, "this is a symbolic link; name the file itself");
  return bad_file(path,
                  std::generic_category().message(number) +
                      "; the role must be able to create and write it, or name another one in audit.file");
}

status check_kind(int fd, const std::filesystem::path& path) {
  struct stat about {};
  if (::fstat(fd, &about) != 0) return bad_file(path, std::generic_category().message(errno));
  if (!S_ISREG(about.st_mode)) return bad_file(path, "this is not a regular file; name another path");
  if ((about.st_mode & (S_IWGRP | S_IXGRP | S_IRWXO)) != 0)
    return bad_file(path, "others may read it, or its group may write it; run: chmod 640 " + path.string());
  return {};
}

/// Opens the file as a role does, which may also create it.
result<descriptor> open_to_append(const std::filesystem::path& path, int create) {
  descriptor opened(::open(
      path.c_str(), O_RDWR | O_APPEND | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC | create, 0600));
  if (!opened.valid()) return open_failed(path, errno);
  CPNS_CHECK(check_kind(opened.get(), path));
  return opened;
}

/// The last line of the file if it ends with a line end.
result<std::optional<std::string>> last_line(int fd, std::uint64_t size, const std::filesystem::path& path) {
  std::string end(std::min<std::uint64_t>(size, line_size_max + 1), '\0');
  std::size_t got = 0;
  while (got < end.size()) {
    const auto n =
        ::pread(fd, end.data() + got, end.size() - got, static_cast<off_t>(size - end.size() + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(storage::file_error(errno, errc::store_unavailable, "cannot read", path));
    if (n == 0) return std::optional<std::string>{};
    got += static_cast<std::size_t>(n);
  }
  if (!end.ends_with('\n')) return std::optional<std::string>{};
  end.pop_back();
  const auto before = end.rfind('\n');
  if (before == std::string::npos && end.size() + 1 < size) return std::optional<std::string>{};
  return std::optional(end.substr(before == std::string::npos ? 0 : before + 1));
}

/// Reads lines one by one and follows the chain.
class examination {
 public:
  explicit examination(const chain& c) : head_(c.head) { out_.reached = c; }

  void take(const line_source::part& p) {
    out_.ended = p.bytes.ends_with('\n');
    auto line = p.whole ? read_line(p.line(), out_.reached.key) : std::nullopt;
    if (!line || (line->at.number <= out_.reached.head.number && line->at != head_)) {
      if (line) out_.last_seen = std::max(out_.last_seen, line->at.number);
      out_.remains += p.bytes.size();
      digest_.add(as_bytes(p.bytes));
      return;
    }
    out_.last_seen = std::max(out_.last_seen, line->at.number);
    if (line->at == head_) {
      out_.holds_head = true;
    } else {
      const bool next =
          line->at.number == out_.reached.head.number + 1 && line->previous == out_.reached.head.mac;
      out_.jumped |= !next;
      out_.holds_head |= next;
      ++out_.taken;
      advance(out_.reached, *line);
    }
    out_.remains = 0;
    digest_.finish();
  }
  file_end finish(std::uint64_t size) {
    out_.size = size;
    out_.digest = digest_.finish();
    // Lines before the head of a file that does not hold it are not remains: they are the file.
    if (!out_.holds_head && out_.taken == 0) out_.remains = 0;
    return std::move(out_);
  }

 private:
  link head_;
  file_end out_;
  crypto::sha256_stream digest_;
};

}  // namespace

line_source::line_source(int fd, std::uint64_t limit, std::filesystem::path path)
    : fd_(fd), limit_(limit), path_(std::move(path)) {}

result<std::optional<line_source::part>> line_source::next() {
  for (;;) {
    const auto end = buffer_.find('\n', begin_);
    if (end != std::string::npos && end + 1 - begin_ <= line_size_max) {
      const part p{std::string_view(buffer_).substr(begin_, end + 1 - begin_), !inside_};
      begin_ = end + 1;
      inside_ = false;
      return std::optional(p);
    }
    if (buffer_.size() - begin_ >= line_size_max) {
      const part p{std::string_view(buffer_).substr(begin_, line_size_max), false};
      begin_ += line_size_max;
      inside_ = true;
      return std::optional(p);
    }
    buffer_.erase(0, begin_);
    begin_ = 0;
    const auto had = buffer_.size();
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(read_size, limit_ - offset_));
    buffer_.resize(had + want);
    const auto n = want == 0 ? 0 : ::pread(fd_, buffer_.data() + had, want, static_cast<off_t>(offset_));
    if (n < 0) {
      const int why = errno;
      buffer_.resize(had);
      if (why == EINTR) continue;
      return fail(storage::file_error(why, errc::store_unavailable, "cannot read", path_));
    }
    buffer_.resize(had + static_cast<std::size_t>(n));
    offset_ += static_cast<std::uint64_t>(n);
    if (n > 0) continue;
    if (buffer_.empty()) return std::optional<part>{};
    begin_ = buffer_.size();
    return std::optional(part{buffer_, false});
  }
}

result<std::uint64_t> size_of(int fd, const std::filesystem::path& path) {
  struct stat about {};
  if (::fstat(fd, &about) != 0)
    return fail(storage::file_error(errno, errc::store_unavailable, "cannot read the attributes of", path));
  return static_cast<std::uint64_t>(about.st_size);
}

result<file_end> examine(int fd, const chain& c, const std::filesystem::path& path) {
  CPNS_TRY(const auto size, size_of(fd, path));
  file_end out;
  out.reached = c;
  out.size = size;
  out.holds_head = true;
  if (size == 0) return out;
  CPNS_TRY(const auto last, last_line(fd, size, path));
  const auto line = last ? read_line(*last, c.key) : std::nullopt;
  if (line && line->at == c.head) return out;
  examination e(c);
  line_source source(fd, size, path);
  for (;;) {
    CPNS_TRY(const auto p, source.next());
    if (!p) return e.finish(size);
    e.take(*p);
  }
}

bool trail_file::is_open_under_its_name() const {
  struct stat held {
  }, named{};
  return fd_.valid() && ::fstat(fd_.get(), &held) == 0 && ::lstat(path_.c_str(), &named) == 0 &&
         held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

result<bool> trail_file::ensure_open() {
  if (is_open_under_its_name()) return false;
  CPNS_TRY(auto opened, open_to_append(path_, O_CREAT));
  // flock, since a lock of fcntl ends when this process closes any other descriptor of the file, as after a check.
  if (::flock(opened.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(errc::store_locked,
                "the audit file " + path_.string() +
                    " is in use by another role; give each role a file of its own in audit.file");
  const auto folder = path_.parent_path();
  CPNS_CHECK(storage::sync_folder(folder.empty() ? std::filesystem::path(".") : folder));
  fd_ = std::move(opened);
  return true;
}

status trail_file::append(std::string_view lines) {
  CPNS_TRY(const auto before, size_of(fd_.get(), path_));
  auto done = storage::write_all(fd_.get(), as_bytes(lines), path_);
  if (done && ::fdatasync(fd_.get()) != 0)
    done = fail(storage::file_error(errno, errc::store_write_failed, "cannot sync", path_));
  if (done) return {};
  // These lines were never acknowledged. If they cannot be cut off, the next examination finds them.
  if (::ftruncate(fd_.get(), static_cast<off_t>(before)) == 0) ::fdatasync(fd_.get());
  fd_.close();
  return done;
}

result<descriptor> open_to_read(const std::filesystem::path& path) {
  descriptor opened(::open(path.c_str(), O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (!opened.valid()) return bad_file(path, std::generic_category().message(errno));
  struct stat about {};
  if (::fstat(opened.get(), &about) != 0) return bad_file(path, std::generic_category().message(errno));
  if (!S_ISREG(about.st_mode)) return bad_file(path, "this is not a regular file");
  return opened;
}

result<std::string> damage_before_start(const std::filesystem::path& path, const std::optional<chain>& c) {
  std::error_code ec;
  if (std::filesystem::symlink_status(path, ec).type() == std::filesystem::file_type::not_found)
    return std::string{};
  CPNS_TRY(const auto opened, open_to_append(path, 0));
  if (!c) {
    CPNS_TRY(const auto size, size_of(opened.get(), path));
    CPNS_TRY(const auto last, last_line(opened.get(), size, path));
    return size == 0 || last ? std::string{} : "its last line is incomplete";
  }
  CPNS_TRY(const auto end, examine(opened.get(), *c, path));
  if (end.remains > 0 || !end.ended)
    return "its last " + std::to_string(end.remains) + " bytes are not a line of the role";
  if (end.jumped || !end.holds_head) return std::string{"lines are missing that the store knows"};
  return std::string{};
}

}  // namespace cpns::audit
