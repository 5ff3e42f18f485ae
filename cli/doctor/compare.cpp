#include "cli/doctor/compare.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <utility>

#include "config/describe.hpp"

namespace cpns::cli::doctor {
namespace {

constexpr std::string_view pairs =
    "; compare a gateway with its PNEs, or a gateway with its server, in either order";

std::string wrong_pair(const config::checked_file& a, const config::checked_file& b) {
  const auto both = a.file.string() + " and " + b.file.string();
  const std::string one{config::word_of(a.role)}, other{config::word_of(b.role)};
  if (a.role == b.role) return both + " are both the configuration of a " + one + std::string{pairs};
  return both + ": a " + one + " and a " + other + " do not talk to each other" + std::string{pairs};
}

/// The bytes of an IP address; empty for the name of a host.
std::string address_bytes(const std::string& host) {
  in_addr v4{};
  in6_addr v6{};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return {reinterpret_cast<const char*>(&v4), sizeof v4};
  if (::inet_pton(AF_INET6, host.c_str(), &v6) == 1) return {reinterpret_cast<const char*>(&v6), sizeof v6};
  return {};
}

class findings_of_pair {
 public:
  explicit findings_of_pair(std::vector<finding>& out) : out_(out) {}
  void add(const std::string& check, lines found) {
    for (auto& l : found) out_.push_back({check, std::move(l)});
  }

 private:
  std::vector<finding>& out_;
};

template <class Config>
side<Config> side_of(const config::checked_file& file) {
  return {file, std::get<Config>(file.config)};
}

void compare_with_pnes(const gateway_side& g, const pne_side& p, const tools& use, findings_of_pair out) {
  const auto devices = devices_of(p.config);
  out.add("radios", compare_radios(g, p, use));
  out.add("devices", compare_devices(g, p, devices));
  out.add("purposes", compare_purposes(g, p, devices));
  out.add("timers", compare_timers(g, p));
}

void compare_with_server(const gateway_side& g, const server_side& s, findings_of_pair out) {
  out.add("address", compare_addresses(g, s));
  out.add("identity", compare_identities(g, s));
  out.add("renewal", compare_renewal(g, s));
}

/// The file of the pair with this role.
const config::checked_file* with_role(config::role_kind role, const config::checked_file& a,
                                      const config::checked_file& b) {
  return a.role == role ? &a : b.role == role ? &b : nullptr;
}

}  // namespace

bool arrives(const config::address& to, const config::address& own) {
  if (to.port != own.port) return false;
  const auto there = address_bytes(to.host), here = address_bytes(own.host);
  if (there.empty() || here.empty() || own.host == "::") return true;
  if (own.host == "0.0.0.0") return there.size() == here.size();
  return there == here;
}

comparison compare(const std::string& config, const std::string& with, const tools& use) {
  comparison out{config, with, {}, {}, {}};
  const auto load = [&out](const std::string& name, std::string& role) {
    auto checked = config::check_file(name);
    if (checked) {
      role = config::word_of(checked->role);
      out.findings.push_back({"configuration", {state_t::ok, name + " has no error"}});
    } else {
      for (auto& text : checked.error().lines())
        out.findings.push_back({"configuration", {state_t::error, std::move(text)}});
    }
    return checked;
  };
  const auto a = load(config, out.role);
  const auto b = load(with, out.with_role);
  if (!a || !b) return out;
  const auto* gateway = with_role(config::role_kind::gateway, *a, *b);
  const auto* pne = with_role(config::role_kind::pne, *a, *b);
  const auto* server = with_role(config::role_kind::server, *a, *b);
  if (gateway != nullptr && pne != nullptr)
    compare_with_pnes(side_of<config::gateway_config>(*gateway), side_of<config::pne_config>(*pne), use,
                      findings_of_pair{out.findings});
  else if (gateway != nullptr && server != nullptr)
    compare_with_server(side_of<config::gateway_config>(*gateway), side_of<config::server_config>(*server),
                        findings_of_pair{out.findings});
  else
    out.findings.push_back({"configuration", {state_t::error, wrong_pair(*a, *b)}});
  return out;
}

}  // namespace cpns::cli::doctor
