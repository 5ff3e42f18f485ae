#include "pair.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>

#include "base/sockets.hpp"
#include "plugins/isolation/isolated_transport.hpp"

namespace cpns::plugins {

void listener::note(bool rule, const char* words) {
  if (!rule && broken_.empty()) broken_ = words;
  ++calls_;
  changed_.notify_all();
}

void listener::link_up(link_id l, endpoint_id e, std::string address) {
  std::lock_guard lock{guard_};
  note(links_.count(l) == 0 && l != 0, "link_up with an id that is 0 or was used");
  links_[l] = {e, std::move(address), true, {}, {}};
}

void listener::link_down(link_id l, std::string reason) {
  std::lock_guard lock{guard_};
  note(links_.count(l) != 0 && links_[l].up, "link_down of a link that is not up");
  links_[l].up = false;
  links_[l].reason = std::move(reason);
}

void listener::message(link_id l, bytes data) {
  std::lock_guard lock{guard_};
  note(links_.count(l) != 0 && links_[l].up, "a message on a link that is not up");
  links_[l].messages.push_back(std::move(data));
}

void listener::failed(error) {
  std::lock_guard lock{guard_};
  note(false, "the radio failed");
}

bool listener::wait_for_links(std::size_t up) {
  return wait([up](const auto& links) {
    std::size_t n = 0;
    for (const auto& [id, l] : links) n += l.up ? 1 : 0;
    return n == up;
  });
}

std::vector<link_id> listener::up() {
  std::lock_guard lock{guard_};
  std::vector<link_id> out;
  for (const auto& [id, l] : links_)
    if (l.up) out.push_back(id);
  return out;
}

std::optional<link_id> listener::link_of(endpoint_id e) {
  std::optional<link_id> found;
  wait([&](const auto& links) {
    for (const auto& [id, l] : links)
      if (l.up && l.endpoint == e) found = id;
    return found.has_value();
  });
  return found;
}

std::vector<bytes> listener::messages(link_id l) {
  std::lock_guard lock{guard_};
  return links_.count(l) != 0 ? links_[l].messages : std::vector<bytes>{};
}

std::string listener::reason(link_id l) {
  std::lock_guard lock{guard_};
  return links_.count(l) != 0 ? links_[l].reason : "";
}

std::size_t listener::calls() {
  std::lock_guard lock{guard_};
  return calls_;
}

std::string listener::broken() {
  std::lock_guard lock{guard_};
  return broken_;
}

std::string fresh_network() {
  static std::atomic<int> last{0};
  // At most 12 bytes, so that the hello of tcp fits into an MTU of 23.
  return "t" + std::to_string(::getpid()) + "-" + std::to_string(++last);
}

meeting meeting_of(const std::string& kind, const params& both) {
  meeting m{both, both};
  const auto network = fresh_network();
  for (auto* p : {&m.central, &m.peripheral}) p->emplace("network", network);
  if (plugin_of(kind) == "tcp") {
    const auto port = std::to_string(free_port(SOCK_DGRAM));
    m.central["announce"] = "127.255.255.255:" + port;
    m.central["announce_ms"] = "50";
    m.peripheral["discover"] = port;
    m.peripheral["retry_ms"] = "20";
  }
  return m;
}

std::string plugin_of(const std::string& kind) { return kind.substr(0, kind.find('_')); }

std::unique_ptr<transport> open(const std::string& kind, transport_role role, const params& p, listener& l) {
  const transport_spec spec{plugin_of(kind), role, p, {}};
  isolation::isolation_settings settings;
  settings.name = kind;
  auto opened = kind == spec.plugin ? load_transport(spec, l) : isolation::open_isolated(spec, settings, l);
  EXPECT_TRUE(opened) << opened.error().message();
  return opened ? std::move(*opened) : nullptr;
}

pair::pair(const std::string& kind, const params& both) {
  const auto m = meeting_of(kind, both);
  gateway = open(kind, transport_role::central, m.central, gateway_hears);
  pne = open(kind, transport_role::peripheral, m.peripheral, pne_hears);
  if (gateway) {
    EXPECT_TRUE(gateway->scan(true));
  }
}

pair::~pair() {
  if (pne) pne->close();
  if (gateway) gateway->close();
  EXPECT_EQ(gateway_hears.broken(), "");
  EXPECT_EQ(pne_hears.broken(), "");
}

void pair::add(endpoint_id first, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto added = pne->add_endpoint(first + i, "pne " + std::to_string(first + i));
    EXPECT_TRUE(added) << added.error().message();
  }
}

std::optional<pair::ends> pair::link(endpoint_id e) {
  const auto own = pne_hears.link_of(e);
  if (!own) return std::nullopt;
  const auto mark = bytes{'e', 'n', 'd', static_cast<std::uint8_t>(e >> 8), static_cast<std::uint8_t>(e)};
  if (!pne->send(*own, mark)) return std::nullopt;
  std::optional<ends> found;
  gateway_hears.wait([&](const auto& links) {
    for (const auto& [id, l] : links)
      if (l.up && !l.messages.empty() && l.messages.front() == mark) found = ends{id, *own};
    return found.has_value();
  });
  return found;
}

}  // namespace cpns::plugins
