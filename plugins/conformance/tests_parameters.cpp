// The plugin's declared parameters, whether open enforces the declarations, and hosts of another minor version.

#include <cstddef>

#include "plugins/conformance/instance.hpp"
#include "plugins/conformance/test.hpp"
#include "plugins/host/description.hpp"

namespace cpns::conformance {
namespace {

using plugins::parameter_description;
using plugins::transport_role;
using std::chrono::seconds;

transport_role as_host_role(cpns_role role) {
  return role == CPNS_ROLE_CENTRAL ? transport_role::central : transport_role::peripheral;
}

plugins::plugin_description declared(bench& b) {
  auto d = plugins::describe(b.entry());
  if (!d) throw test_failed{d.error().detail};
  return std::move(*d);
}

void parameters_are_declared(bench& b) {
  if (!declared(b).declares)
    b.warn(
        "deprecated since 1.1: the entry declares no list of parameters, so mistakes in a configuration are "
        "found only when the radio opens; its successor is cpns_transport_entry_t.parameters");
}

/// Values that the declaration of `p` excludes.
std::vector<std::string> outside(const parameter_description& p) {
  std::vector<std::string> out;
  switch (p.kind) {
  case CPNS_PARAMETER_NUMBER:
    if (p.min > 0) out.push_back(std::to_string(p.min - 1));
    if (p.max < UINT64_MAX) out.push_back(std::to_string(p.max + 1));
    for (const char* text : {"", "many", "-1", "1x", " 1", "0x10", "99999999999999999999999"})
      out.emplace_back(text);
    break;
  case CPNS_PARAMETER_BOOLEAN:
    for (const char* text : {"", "maybe", "TRUE", "1"}) out.emplace_back(text);
    break;
  case CPNS_PARAMETER_CHOICE:
    for (const char* text : {"", "no-such-choice"}) out.emplace_back(text);
    out.push_back(p.choices + " ");
    break;
  default:
    if (p.min > 0) out.emplace_back(static_cast<std::size_t>(p.min - 1), 'x');
    if (p.max < 100'000) out.emplace_back(static_cast<std::size_t>(p.max + 1), 'x');
  }
  return out;
}

void refuses(bench& b, cpns_role role, const params& p, const std::string& name, const std::string& what) {
  auto& r = keep_recorder(b, role);
  const auto o = open_raw(b, r, role, p);
  if (o.status == CPNS_OK && o.transport != nullptr) close_raw(b, r, *o.transport);
  require(o.status == CPNS_BAD_PARAMETER,
          "open must return CPNS_BAD_PARAMETER for " + what + ": it returned " + name_of(o.status));
  require(o.out_untouched,
          "open must leave *out unchanged unless it returns CPNS_OK: it wrote it when it refused " + what);
  if (r.refused() != name)
    b.warn("bad_parameter must name the refused parameter: for " + what + " it " +
           (r.refused().empty() ? "was not called" : "named '" + r.refused() + "'"));
}

void declared_bounds_hold(bench& b) {
  const auto plugin = declared(b);
  if (!plugin.declares) throw test_skipped{"the entry declares no list of parameters"};
  for (const auto role : both_roles) {
    const auto met = b.draw();
    const auto& good = role == CPNS_ROLE_CENTRAL ? met.central : met.peripheral;
    for (const auto& p : plugin.parameters) {
      auto with = good;
      if (!p.is_of(as_host_role(role))) {
        with[p.name] = p.preset.value_or("1");
        refuses(b, role, with, p.name, p.name + " in a " + name_of(role) + " (not declared for that role)");
        continue;
      }
      for (const auto& value : outside(p)) {
        with[p.name] = value;
        refuses(b, role, with, p.name,
                p.name + "='" + value.substr(0, 40) + "' (declared as " + p.form() + ")");
      }
      if (p.preset) continue;
      with.erase(p.name);
      refuses(b, role, with, p.name, "a missing " + p.name);
    }
  }
}

void hosts_of_1_0_are_served(bench& b) {
  constexpr auto first_host = offsetof(cpns_host, get_extension) + sizeof(cpns_host::get_extension);
  for (const auto role : both_roles) {
    const auto met = b.draw();
    auto p = role == CPNS_ROLE_CENTRAL ? met.central : met.peripheral;
    // Behind its smaller table are zero bytes: a call of one of those functions crashes.
    instance i{b, role, p, {.host_size = static_cast<std::uint32_t>(first_host)}};
    if (role == CPNS_ROLE_CENTRAL) {
      i.scan(true);
      i.connect("nowhere");
    } else {
      i.add_endpoint(1);
    }
    i.close();
    auto& r = keep_recorder(b, role);
    p["no-such-parameter"] = "1";
    const auto o = open_raw(b, r, role, p, {.host_size = static_cast<std::uint32_t>(first_host)});
    require(o.status == CPNS_BAD_PARAMETER,
            "open must return CPNS_BAD_PARAMETER for an unknown parameter: with a "
            "host of 1.0 it returned " +
                name_of(o.status));
  }
}

void connect_tells_its_end(bench& b) {
  const auto met = b.draw();
  instance c{b, CPNS_ROLE_CENTRAL, met.central};
  require(c.scan(true) == CPNS_OK, "scan(on) of a central must succeed");
  const std::string nowhere = "nowhere";
  const auto taken = c.connect(nowhere);
  c.cancel("no connect to this address");
  if (taken == CPNS_UNSUPPORTED) throw test_skipped{"the plugin does not support connect"};
  if (b.entry().abi_minor == 0)
    throw test_skipped{"the plugin is built for interface 1.0, which has no connect_failed"};
  if (taken != CPNS_OK) return;
  require(c.heard.wait_unreached(nowhere),
          "after a successful connect, link_up or connect_failed must follow: neither was called for '" +
              nowhere + "'");
  require(c.connect(nowhere) == CPNS_OK, "connect to an address that failed before must succeed");
  c.cancel(nowhere);
  require(c.heard.wait_unreached(nowhere), "after cancel, connect_failed must follow: it was not called");
}

constexpr test early[] = {
    {"parameters-are-declared", "The declared parameters are valid: names, sentences, bounds and presets.",
     "entry-is-sound", seconds{10}, parameters_are_declared},
};
constexpr test parameter_list[] = {
    {"declared-bounds-hold",
     "open returns CPNS_BAD_PARAMETER for values that the declarations exclude, and names the parameter.",
     "unknown-parameters-are-refused", seconds{90}, declared_bounds_hold},
    {"hosts-of-the-first-version-are-served",
     "A host of interface 1.0 works, and no function behind its table is called.",
     "unknown-parameters-are-refused", seconds{30}, hosts_of_1_0_are_served},
    {"connect-tells-its-end",
     "After a successful connect, link_up or connect_failed follows, even if it is cancelled.",
     "close-returns", seconds{60}, connect_tells_its_end},
};

}  // namespace

std::span<const test> declaration_tests() { return early; }
std::span<const test> parameter_tests() { return parameter_list; }

}  // namespace cpns::conformance
