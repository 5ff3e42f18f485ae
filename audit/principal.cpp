#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <fstream>

#include "audit/entry.hpp"

namespace cpns::audit {
namespace {

constexpr std::size_t passwd_lines_max = 20'000;

/// The target of a link in /proc; empty if the kernel does not show it.
std::string link_target(const std::string& link) {
  std::array<char, 1024> buffer{};
  const auto n = ::readlink(link.c_str(), buffer.data(), buffer.size());
  return n > 0 ? std::string(buffer.data(), static_cast<std::size_t>(n)) : std::string{};
}

std::optional<std::uint32_t> number_in(std::string_view text) {
  std::uint32_t out = 0;
  const auto end = text.data() + text.size();
  const auto [at, ec] = std::from_chars(text.data(), end, out);
  if (ec != std::errc{} || at != end) return std::nullopt;
  return out;
}

/// Without the name service, which may ask another machine and wait for it.
std::string local_name_of(std::uint32_t uid) {
  std::ifstream in("/etc/passwd");
  std::string line;
  for (std::size_t i = 0; i < passwd_lines_max && std::getline(in, line); ++i) {
    const auto name = line.find(':');
    const auto password = name == std::string::npos ? name : line.find(':', name + 1);
    const auto id = password == std::string::npos ? password : line.find(':', password + 1);
    if (id == std::string::npos) continue;
    if (number_in(std::string_view(line).substr(password + 1, id - password - 1)) == uid)
      return line.substr(0, name);
  }
  return {};
}

std::optional<std::uint32_t> login_of(const std::string& process) {
  constexpr std::uint32_t none = 0xffff'ffff;
  std::ifstream in(process + "/loginuid");
  std::string text;
  std::getline(in, text);
  const auto uid = number_in(text);
  return uid == none ? std::nullopt : uid;
}

principal read_process(std::uint32_t uid, std::uint32_t gid, std::int32_t pid, const std::string& process) {
  principal p;
  p.uid = uid;
  p.gid = gid;
  p.pid = pid;
  p.executable = link_target(process + "/exe");
  p.login_uid = login_of(process);
  p.user = local_name_of(uid);
  return p;
}

}  // namespace

principal process_principal(std::uint32_t uid, std::uint32_t gid, std::int32_t pid) {
  return read_process(uid, gid, pid, "/proc/" + std::to_string(pid));
}

principal this_process() { return read_process(::getuid(), ::getgid(), ::getpid(), "/proc/self"); }

principal certificate_principal(std::string uri, std::string address) {
  principal p;
  p.certificate = std::move(uri);
  p.address = std::move(address);
  return p;
}

std::string peer_name(const principal& p) {
  if (!p.certificate.empty()) return p.certificate;
  if (p.uid) return "uid " + std::to_string(*p.uid);
  return p.address.substr(0, p.address.rfind(':'));
}

}  // namespace cpns::audit
