#include "cli/demo/room.hpp"

#include <charconv>
#include <fstream>
#include <optional>

#include "cli/daemon.hpp"

namespace cpns::cli {
namespace {

constexpr std::uint64_t other_ports = 100;  // of the roles among each other, and of other programs

status refuse(const demo_options& o, const std::string& why) {
  const auto count = std::to_string(o.pnes);
  return fail(errc::state_exhausted,
              "--pnes " + count + ": " + count + " devices need as many links, " + why);
}

/// Ports that the kernel gives to connections to one address and port; 0 if it does not say.
std::uint64_t ports_of_an_address() {
  std::uint64_t first = 0, last = 0;
  if (!(std::ifstream{"/proc/sys/net/ipv4/ip_local_port_range"} >> first >> last) || last < first) return 0;
  return last - first + 1;
}

}  // namespace

status check_room(const demo_options& o) {
  if (const auto set = o.params.find("max_links"); set != o.params.end()) {
    std::uint64_t links = 0;
    std::from_chars(set->second.data(), set->second.data() + set->second.size(), links);
    if (links != 0 && links < o.pnes)
      return refuse(o, "but --param max_links=" + set->second + " allows fewer");
  }
  if (o.transport != "tcp") return {};
  const auto most = connections_of_process();
  if (o.pnes > most)
    return refuse(o, "and the tcp radio of a process has " + std::to_string(most) + " at most: it may open " +
                         std::to_string(raise_file_limit()) +
                         " files (ulimit -n, LimitNOFILE), of which the others are for its other work");
  const auto ports = ports_of_an_address();
  if (ports != 0 && o.pnes + other_ports > ports)
    return refuse(o, "and this machine has " + std::to_string(ports) +
                         " ports for connections to one address (net.ipv4.ip_local_port_range), of which " +
                         std::to_string(other_ports) + " are for others");
  return {};
}

}  // namespace cpns::cli
