#include "storage/file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include "base/secret.hpp"

namespace cpns::storage {

namespace {

std::filesystem::path folder_of(const std::filesystem::path& path) {
  auto folder = path.parent_path();
  return folder.empty() ? std::filesystem::path(".") : folder;
}

}  // namespace

error file_error(int errno_value, errc otherwise, std::string_view what, const std::filesystem::path& path) {
  const auto code = errno_value == ENOSPC || errno_value == EDQUOT ? errc::store_full : otherwise;
  return {code,
          std::string(what) + " " + path.string() + ": " + std::generic_category().message(errno_value)};
}

status lock_against_others(const descriptor& file, const std::filesystem::path& what) {
  struct flock wanted {};
  wanted.l_type = F_WRLCK;
  wanted.l_whence = SEEK_SET;
  if (::fcntl(file.get(), F_SETLK, &wanted) == 0) return {};
  if (errno != EACCES && errno != EAGAIN)
    return fail(file_error(errno, errc::store_unavailable, "cannot lock", what));
  std::string holder = "another process";
  if (::fcntl(file.get(), F_GETLK, &wanted) == 0 && wanted.l_type != F_UNLCK && wanted.l_pid > 0)
    holder = "process " + std::to_string(wanted.l_pid);
  return fail(errc::store_locked,
              what.string() + " is held by " + holder + "; stop it, or give each role a folder of its own");
}

std::optional<pid_t> lock_holder(const std::filesystem::path& file) {
  const descriptor opened(::open(file.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct flock asked {};
  asked.l_type = F_WRLCK;
  asked.l_whence = SEEK_SET;
  if (!opened.valid() || ::fcntl(opened.get(), F_GETLK, &asked) != 0 || asked.l_type == F_UNLCK)
    return std::nullopt;
  return std::max<pid_t>(0, asked.l_pid);
}

result<descriptor> hold_lock(const std::filesystem::path& file, const std::filesystem::path& what) {
  descriptor opened(::open(file.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!opened.valid())
    return fail(file_error(errno, errc::store_unavailable, "cannot open for writing", file));
  CPNS_CHECK(lock_against_others(opened, what));
  return opened;
}

result<bytes> read_all(int fd, std::size_t max, errc too_large, const std::filesystem::path& path) {
  // Reads one byte over the limit, to detect a file that is too large.
  bytes content(max + 1);
  std::size_t size = 0;
  while (size < content.size()) {
    const auto n = ::read(fd, content.data() + size, content.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int why = errno;
      wipe(content);
      return fail(file_error(why, errc::store_unavailable, "cannot read", path));
    }
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  if (size > max) {
    wipe(content);
    return fail(too_large, path.string() + " has more than " + std::to_string(max) + " bytes");
  }
  content.resize(size);
  return content;
}

status write_all(int fd, byte_view content, const std::filesystem::path& path) {
  while (!content.empty()) {
    const auto n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(file_error(errno, errc::store_write_failed, "cannot write", path));
    content = content.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

status sync_folder(const std::filesystem::path& folder) {
  const descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return fail(file_error(errno, errc::store_unavailable, "cannot open the folder", folder));
  if (::fsync(fd.get()) != 0)
    return fail(file_error(errno, errc::store_write_failed, "cannot sync the folder", folder));
  return {};
}

namespace {

status write_new(const std::filesystem::path& path, byte_view content,
                 const std::function<void(file_step)>& step, mode_t mode) {
  const descriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid()) return fail(file_error(errno, errc::store_unavailable, "cannot create", path));
  if (::fchmod(fd.get(), mode) != 0)
    return fail(file_error(errno, errc::store_write_failed, "cannot set the mode of", path));
  step(file_step::opened);
  const auto half = content.size() / 2;
  CPNS_CHECK(write_all(fd.get(), content.first(half), path));
  step(file_step::half_written);
  CPNS_CHECK(write_all(fd.get(), content.subspan(half), path));
  step(file_step::written);
  if (::fsync(fd.get()) != 0) return fail(file_error(errno, errc::store_write_failed, "cannot sync", path));
  step(file_step::synced);
  return {};
}

status replace(const std::filesystem::path& temporary, const std::filesystem::path& path, byte_view content,
               if_exists rule, const std::function<void(file_step)>& at, mode_t mode) {
  const auto step = [&](file_step s) {
    if (at) at(s);
  };
  // A crash may leave this file behind; its content was never acknowledged.
  if (::unlink(temporary.c_str()) != 0 && errno != ENOENT)
    return fail(file_error(errno, errc::store_unavailable,
                           rule == if_exists::refuse ? "cannot create" : "cannot replace", path));
  if (auto written = write_new(temporary, content, step, mode); !written) {
    ::unlink(temporary.c_str());
    return written;
  }
  const unsigned flags = rule == if_exists::refuse ? RENAME_NOREPLACE : 0U;
  if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), flags) != 0) {
    const int why = errno;
    ::unlink(temporary.c_str());
    if (why == EEXIST) return fail(errc::state_exists, path.string() + " already exists");
    return fail(file_error(why, errc::store_write_failed, "cannot rename to", path));
  }
  step(file_step::renamed);
  CPNS_CHECK(sync_folder(folder_of(path)));
  step(file_step::folder_synced);
  return {};
}

}  // namespace

status replace_file(const std::filesystem::path& path, byte_view content, if_exists rule,
                    const std::function<void(file_step)>& at, mode_t mode) {
  // A new key file must not remove a file that exists: people name a new key server.kek.new, and later replace it by
  // one that is called server.kek again.
  auto temporary = path;
  temporary += rule == if_exists::refuse ? ".creating" : ".new";
  return replace(temporary, path, content, rule, at, mode);
}

status replace_file_by(const std::filesystem::path& temporary, const std::filesystem::path& path,
                       byte_view content, const std::function<void(file_step)>& at, mode_t mode) {
  return replace(temporary, path, content, if_exists::replace, at, mode);
}

}  // namespace cpns::storage
