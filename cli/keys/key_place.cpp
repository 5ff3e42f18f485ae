#include "cli/keys/key_place.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/magic.h>
#include <string_view>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "crypto/suite.hpp"
#include "storage/file.hpp"

namespace cpns::cli::keys {
namespace {

/// Nobody writes a file for so long; a process that was stopped meanwhile writes again.
constexpr seconds leftover_age{60};
/// Then 16 hexadecimal digits: nobody has such a file by chance.
constexpr std::string_view mark = ".cpns-";
constexpr std::size_t digits = 16;

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path{"."};
}

std::string beginning_of(const std::filesystem::path& path) {
  return "." + path.filename().string() + std::string{mark};
}

void remove_leftovers(const std::filesystem::path& path) {
  const auto beginning = beginning_of(path);
  const auto is_ours = [&beginning](const std::string& name) {
    return name.size() == beginning.size() + digits && name.starts_with(beginning) &&
           name.find_first_not_of("0123456789abcdef", beginning.size()) == std::string::npos;
  };
  const auto old = unix_seconds(now_wall() - leftover_age);
  std::error_code ec;
  for (std::filesystem::directory_iterator it(folder_of(path), ec), end; !ec && it != end; it.increment(ec)) {
    struct stat about {};
    if (is_ours(it->path().filename().string()) && ::lstat(it->path().c_str(), &about) == 0 &&
        S_ISREG(about.st_mode) && about.st_uid == ::geteuid() && about.st_mtime < old)
      ::unlink(it->path().c_str());
  }
}

}  // namespace

std::filesystem::path runtime_folder() {
  if (const char* given = std::getenv("RUNTIME_DIRECTORY"); given != nullptr && *given == '/') {
    const std::string all{given};
    return all.substr(0, all.find(':'));
  }
  if (const char* given = std::getenv("XDG_RUNTIME_DIR"); given != nullptr && *given == '/') return given;
  return "/run";
}

result<key_file> key_file::at(const std::string& name, mode_t mode) {
  auto path = name.find('/') == std::string::npos ? runtime_folder() / name : std::filesystem::path{name};
  std::error_code ec;
  const auto folder = path.parent_path();
  if (!std::filesystem::is_directory(folder, ec))
    return fail(errc::config_file, folder.string() + " is not a folder; create it, or choose another one");
  if (path.filename().empty() || std::filesystem::is_directory(path, ec))
    return fail(errc::config_file, path.string() + " is a folder; name a file");
  return key_file{std::move(path), {}, mode};
}

result<key_file> key_file::in_new_folder(mode_t mode) {
  auto name = (runtime_folder() / "cpns-keys-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr)
    return fail(errc::config_file, "cannot create a folder in " + runtime_folder().string() + ": " +
                                       std::strerror(errno) + "; name a file by --file");
  const std::filesystem::path folder{name};
  return key_file{folder / "key", folder, mode};
}

key_file::key_file(std::filesystem::path path, std::filesystem::path own_folder, mode_t mode)
    : path_(std::move(path)),
      temporary_(folder_of(path_) /
                 (beginning_of(path_) + to_hex(crypto::system_entropy().draw<digits / 2>()))),
      own_folder_(std::move(own_folder)), mode_(mode) {}

key_file::~key_file() {
  if (own_folder_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(own_folder_, ignored);
}

status key_file::write(byte_view content) const {
  remove_leftovers(path_);
  bool placed = false;
  const auto done = storage::replace_file_by(
      temporary_, path_, content,
      [&placed](storage::file_step now) { placed = placed || now == storage::file_step::renamed; }, mode_);
  if (done) return {};
  return fail(done.error().code,
              done.error().detail +
                  (placed ? "; " + path_.string() +
                                " has the new keys, but after a power cut it may have the former "
                                "ones"
                          : "; " + path_.string() + " is as it was"));
}

void key_file::remove() const { ::unlink(path_.c_str()); }

bool key_file::in_memory() const {
  struct statfs about {};
  if (::statfs(path_.parent_path().c_str(), &about) != 0) return false;
  return about.f_type == TMPFS_MAGIC || about.f_type == RAMFS_MAGIC;
}

result<descriptor> readable_once(byte_view content) {
  descriptor fd{::memfd_create("cpns-key", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (!fd.valid()) return fail(errc::internal, std::string{"memfd_create: "} + std::strerror(errno));
  CPNS_CHECK(storage::write_all(fd.get(), content, "a descriptor in memory"));
  if (::lseek(fd.get(), 0, SEEK_SET) != 0 ||
      ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK) != 0)
    return fail(errc::internal, std::string{"a descriptor in memory: "} + std::strerror(errno));
  return fd;
}

}  // namespace cpns::cli::keys
