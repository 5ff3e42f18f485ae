#include "base/private_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace cpns {
namespace {

constexpr std::string_view utf8_mark = "\xef\xbb\xbf";

tl::unexpected<error> file_fault(const std::string& name, int number) {
  return fail(errc::config_file, name + ": " + std::strerror(number));
}

/// No access but the owner's. Root, who can read every file, may also let a group read it.
bool is_private(const struct stat& about) {
  const auto shared = about.st_mode & (S_IRWXG | S_IRWXO);
  return shared == 0 || (shared == S_IRGRP && about.st_uid == 0);
}

std::string mode_text(const struct stat& about) {
  std::array<char, 8> out{};
  std::snprintf(out.data(), out.size(), "%04o", static_cast<unsigned>(about.st_mode & 07777));
  return out.data();
}

}  // namespace

result<private_file> private_file::open(const std::filesystem::path& file, pipes rule, readers who) {
  auto name = file.string();
  const int wait = rule == pipes::accept ? 0 : O_NONBLOCK;
  descriptor opened(::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | wait));
  if (!opened.valid()) return file_fault(name, errno);
  struct stat about {};
  if (::fstat(opened.get(), &about) != 0) return file_fault(name, errno);
  if (S_ISDIR(about.st_mode)) return fail(errc::config_file, name + ": this is a folder, not a file");
  const bool pipe = S_ISFIFO(about.st_mode) || S_ISCHR(about.st_mode) || S_ISSOCK(about.st_mode);
  if (!S_ISREG(about.st_mode) && !(pipe && rule == pipes::accept))
    return fail(errc::config_file, name + ": not a regular file");
  const bool only_owner = !S_ISREG(about.st_mode) || is_private(about);
  if (who == readers::owner && !only_owner)
    return fail(errc::config_file, name + ": group or others have access to this secret file (mode " +
                                       mode_text(about) + "); run: chmod 600 " + name +
                                       " (if root owns it, its group may read it: 0440 or 0640)");
  return private_file(std::move(opened), std::move(name), only_owner);
}

result<std::size_t> private_file::read(std::span<std::uint8_t> to) const {
  for (;;) {
    const auto n = ::read(open_.get(), to.data(), to.size());
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno != EINTR) return file_fault(name_, errno);
  }
}

result<secret_bytes> read_private_file(const std::filesystem::path& file, std::size_t max, readers who) {
  CPNS_TRY(const auto open, private_file::open(file, pipes::refuse, who));
  // Reserved at once: a growing buffer would leave copies behind. The extra byte detects a file that is too
  // large.
  struct stat about {};
  if (::fstat(open.fd(), &about) != 0) return file_fault(open.name(), errno);
  bytes content(std::min(max, static_cast<std::size_t>(std::max<off_t>(about.st_size, 0))) + 1);
  std::size_t size = 0;
  while (size < content.size()) {
    const auto n = open.read(std::span(content).subspan(size));
    if (!n) {
      wipe(content);
      return fail(n.error());
    }
    if (*n == 0) break;
    size += *n;
  }
  const bool whole = size < content.size();
  content.resize(size);
  secret_bytes out(std::move(content));
  if (!whole)
    return fail(errc::config_range, open.name() + ": larger than " + std::to_string(max) +
                                        " bytes, or it grew while it was read");
  return out;
}

std::string utf16_hint(byte_view b) {
  const bool marked = b.size() >= 2 && ((b[0] == 0xff && b[1] == 0xfe) || (b[0] == 0xfe && b[1] == 0xff));
  if (!marked && std::find(b.begin(), b.end(), 0) == b.end()) return {};
  return marked ? "this is UTF-16; save it as UTF-8"
                : "it contains a zero byte; if it is UTF-16, save it as UTF-8";
}

result<secret_bytes> read_secret_line(int fd, const std::string& name, std::size_t max) {
  bytes line;
  line.reserve(max + utf8_mark.size() + 1);  // no growth, so that no copy is left behind
  bool marked = false;
  const auto refuse = [&](errc code, const std::string& why) {
    wipe(line);
    return fail(code, name + ": " + why);
  };
  for (;;) {
    std::uint8_t c = 0;
    const auto n = ::read(fd, &c, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return refuse(errc::config_file, std::strerror(errno));
    if (n == 0 || c == '\n') break;
    line.push_back(c);
    if (!marked && as_text(line) == utf8_mark) {
      marked = true;
      line.clear();
    }
    if (line.size() > max + 1) break;
  }
  if (!line.empty() && line.back() == '\r') line.pop_back();
  if (auto wrong = utf16_hint(line); !wrong.empty()) return refuse(errc::config_range, wrong);
  if (line.size() > max)
    return refuse(errc::config_range, "the first line is longer than " + std::to_string(max) + " bytes");
  if (line.empty()) return refuse(errc::config_range, "the first line is empty");
  return secret_bytes(std::move(line));
}

result<secret_bytes> read_secret_line(const std::filesystem::path& file, std::size_t max, pipes rule) {
  CPNS_TRY(const auto open, private_file::open(file, rule));
  return read_secret_line(open.fd(), open.name(), max);
}

}  // namespace cpns
