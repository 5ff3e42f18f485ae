// The machine of a role: space on its disks, its clock, the open files of its process.

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

#include "base/text.hpp"
#include "cli/doctor/doctor.hpp"

namespace cpns::cli::doctor {
namespace {

namespace fs = std::filesystem;

// RocksDB writes its buffer of 8 MiB to a table before it frees a log, and compacts into new files.
constexpr std::uint64_t space_needed = 16ULL << 20;
constexpr std::uint64_t space_wanted = 64ULL << 20;
constexpr std::uint64_t inodes_wanted = 1000;
constexpr std::uint64_t other_files = 128;  ///< of a role: stores, logs, sockets

std::string size_text(std::uint64_t n) {
  constexpr std::uint64_t mib = 1ULL << 20, gib = 1ULL << 30;
  return n >= 10 * gib ? std::to_string(n / gib) + " GiB" : std::to_string(n / mib) + " MiB";
}

/// `p`, or the nearest folder above it that exists.
fs::path existing(fs::path p) {
  std::error_code ec;
  while (!p.empty() && !fs::exists(p, ec) && p != p.parent_path()) p = p.parent_path();
  return p;
}

/// The places to which the role writes, with the key of each.
std::vector<std::pair<std::string, fs::path>> written_places(const config::checked_file& file) {
  std::vector<std::pair<std::string, fs::path>> out;
  std::visit(
      [&out](const auto& c) {
        if constexpr (requires { c.store; }) out.emplace_back("store.path", c.store.path);
        if constexpr (requires { c.keys_dir; }) {
          out.emplace_back("keys_dir", c.keys_dir);
          for (const auto& d : c.devices) out.emplace_back("key_file", d.key_file.parent_path());
        }
        out.emplace_back("audit.file", c.audit.file.parent_path());
        out.emplace_back("log.file", c.log.file.parent_path());
      },
      file.config);
  std::erase_if(out, [](const auto& p) { return p.second.empty(); });
  return out;
}

/// What becomes of a role whose disk is full, by the setting of the place.
std::string when_full(const std::string& key) {
  if (key == "log.file")
    return "the role goes on, and drops log lines until there is space; free some, or move the log";
  if (key == "audit.file")
    return "the role refuses changes until there is space; free some, or move the audit file";
  return "the role answers overloaded until there is space; free some, or move the store";
}

line disk_line(const std::string& key, const fs::path& place) {
  struct statvfs disk {};
  const auto there = existing(place);
  const auto where = there.string() + " (" + key + ")";
  if (::statvfs(there.c_str(), &disk) != 0) return {state_t::error, where + ": " + std::strerror(errno)};
  if ((disk.f_flag & ST_RDONLY) != 0)
    return {state_t::error,
            where + " is on a disk that is mounted read-only; look for disk errors in the kernel's log, "
                    "and mount it for writing"};
  const auto room = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
  const auto left = size_text(room) + " are left on the disk of " + where;
  if (room < space_needed)
    return {key == "log.file" ? state_t::warning : state_t::error, left + ": " + when_full(key)};
  if (room < space_wanted) return {state_t::warning, left + "; free some space"};
  if (disk.f_files != 0 && disk.f_favail < inodes_wanted)
    return {state_t::warning,
            "fewer than 1000 files can be made on the disk of " + where + "; remove small files"};
  return {state_t::ok, left};
}

/// The soft or hard limit of open files of a process; nullopt if it cannot be read.
std::optional<std::uint64_t> limit_of(pid_t process) {
  std::ifstream in{"/proc/" + std::to_string(process) + "/limits"};
  for (std::string text; std::getline(in, text);) {
    if (!text.starts_with("Max open files")) continue;
    std::istringstream words{text.substr(std::strlen("Max open files"))};
    std::uint64_t soft = 0;
    if (words >> soft) return soft;
  }
  return std::nullopt;
}

struct need {
  std::string key;
  std::uint64_t files = 0;
};
need files_needed(const config::checked_file& file) {
  if (const auto* server = std::get_if<config::server_config>(&file.config))
    return {"limits.connections is " + std::to_string(server->limits.connections),
            server->limits.connections};
  if (const auto* gateway = std::get_if<config::gateway_config>(&file.config)) {
    const bool all_isolated = std::all_of(file.transports.begin(), file.transports.end(), [](const auto& t) {
      return t.isolation == config::isolation_kind::process;
    });
    if (all_isolated) return {"its radios have processes and limits of their own", 0};
    return {"limits.links is " + std::to_string(gateway->limits.links), gateway->limits.links};
  }
  const auto& pne = std::get<config::pne_config>(file.config);
  return {std::to_string(pne.devices.size()) + " devices are configured one by one", pne.devices.size()};
}

}  // namespace

lines check_disk(const subject& s) {
  lines out;
  std::set<std::pair<dev_t, unsigned long>> seen;  // a disk may be mounted twice, once read-only
  for (const auto& [key, place] : written_places(s.file)) {
    const auto there = existing(place);
    struct stat about {};
    struct statvfs disk {};
    const bool known = ::stat(there.c_str(), &about) == 0 && ::statvfs(there.c_str(), &disk) == 0 &&
                       !seen.insert({about.st_dev, disk.f_flag & ST_RDONLY}).second;
    if (!known) out.push_back(disk_line(key, place));
  }
  if (out.empty()) out.push_back({state_t::ok, "the role writes nothing to a disk"});
  return out;
}

/// The protocol carries no time of the server, so the clocks of gateway and server cannot be compared. A wrong clock
/// shows at certificates, and the kernel tells whether a time service sets it.
lines check_clock(const subject& s) {
  const auto now = utc_text(unix_seconds(s.now));
  std::error_code ec;
  const auto written = fs::last_write_time(s.file.file, ec);
  // C++20 gives the clock of files no conversion that all compilers have.
  const auto age = fs::file_time_type::clock::now() - written;
  if (!ec && age < -std::chrono::hours{1})
    return {
        {state_t::error, "the clock shows " + now + ", but " + s.file.file.string() +
                             " was written later than that; set the clock, for example with a time service"}};
  struct timex kernel {};
  if (::adjtimex(&kernel) == -1)
    return {
        {state_t::ok, "the clock shows " + now + "; the kernel does not say whether a time service sets it"}};
  if ((kernel.status & STA_UNSYNC) != 0)
    return {{state_t::warning,
             "the clock shows " + now +
                 ", but no time service sets it: certificates and sets of keys depend on it; run "
                 "chrony or systemd-timesyncd on the machine"}};
  return {{state_t::ok, "the clock shows " + now +
                            ", and a time service sets it (it is not compared with that of the "
                            "other side: the protocol carries no time)"}};
}

lines check_descriptors(const subject& s) {
  const auto wanted = files_needed(s.file);
  std::optional<std::uint64_t> limit;
  std::string of;
  if (s.running()) {
    limit = limit_of(*s.process);
    of = "process " + std::to_string(*s.process) + " may open ";
  }
  if (!limit) {
    rlimit own{};
    if (::getrlimit(RLIMIT_NOFILE, &own) != 0) return {};
    limit = own.rlim_max;  // a role raises its soft limit to the hard one
    of = "a role that is started here may open ";
  }
  const auto text = of + (*limit == RLIM_INFINITY ? "any number of" : std::to_string(*limit)) + " files";
  if (*limit == RLIM_INFINITY || wanted.files + other_files <= *limit)
    return {{state_t::ok, text + ", and " + wanted.key}};
  return {{state_t::warning,
           text + ", but " + wanted.key + ", and it needs " + std::to_string(other_files) +
               " files for other things; raise the limit (LimitNOFILE, ulimit -n), or lower the "
               "setting"}};
}

}  // namespace cpns::cli::doctor
