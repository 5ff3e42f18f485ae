// What the plugin declares that it can be told, and whether it keeps to it; what a host of another minor
// version sees.

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
    b.warn("deprecated since 1.1: the entry has no list of parameters, so mistakes in a configuration are "
           "found only when the radio opens; its successor is cpns_transport_entry_t.parameters");
}

/// Values that the declaration of `p` rules out.
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
          what + " ends with CPNS_BAD_PARAMETER: it was " + name_of(o.status));
  require(o.out_untouched,
          "on anything but CPNS_OK *out is left alone: open wrote it when it refused " + what);
  if (r.refused() != name)
    b.warn("bad_parameter names what was refused: for " + what + " it " +
           (r.refused().empty() ? "did not come" : "named '" + r.refused() + "'"));
}

void declared_bounds_hold(bench& b) {
  const auto plugin = declared(b);
  if (!plugin.declares) throw test_skipped{"the entry has no list of parameters"};
  for (const auto role : both_roles) {
    const auto met = b.draw();
    const auto& good = role == CPNS_ROLE_CENTRAL ? met.central : met.peripheral;
    for (const auto& p : plugin.parameters) {
      auto with = good;
      if (!p.is_of(as_host_role(role))) {
        with[p.name] = p.preset.value_or("1");
        refuses(b, role, with, p.name,
                p.name + " for a " + name_of(role) + ", which is not declared for it,");
        continue;
      }
      for (const auto& value : outside(p)) {
        with[p.name] = value;
        refuses(b, role, with, p.name,
                p.name + "='" + value.substr(0, 40) + "', which is declared as " + p.form() + ",");
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
    // What stands behind its table is no function: a call there ends the process.
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
    require(o.status == CPNS_BAD_PARAMETER, "an unknown parameter ends with CPNS_BAD_PARAMETER: it was " +
                                                name_of(o.status) + " for a host of 1.0");
  }
}

void connect_tells_its_end(bench& b) {
  const auto met = b.draw();
  instance c{b, CPNS_ROLE_CENTRAL, met.central};
  require(c.scan(true) == CPNS_OK, "a central scans");
  const std::string nowhere = "nowhere";
  const auto taken = c.connect(nowhere);
  c.cancel("nobody asked for this one");
  if (taken == CPNS_UNSUPPORTED) throw test_skipped{"connect is not supported: peers come by themselves"};
  if (b.entry().abi_minor == 0)
    throw test_skipped{"the plugin is of interface 1.0, which had no connect_failed"};
  if (taken != CPNS_OK) return;
  require(c.heard.wait_unreached(nowhere),
          "a connect that was taken ends in link_up or connect_failed: neither came for '" + nowhere + "'");
  require(c.connect(nowhere) == CPNS_OK, "an address that failed may be tried again");
  c.cancel(nowhere);
  require(c.heard.wait_unreached(nowhere),
          "a connect that was cancelled ends in connect_failed: it did not come");
}

constexpr test early[] = {
    {"parameters-are-declared",
     "The list of parameters is sound: names, sentences, bounds, presets that fit.", "entry-is-sound",
     seconds{10}, parameters_are_declared},
};
constexpr test parameter_list[] = {
    {"declared-bounds-hold",
     "Values outside of what is declared end in CPNS_BAD_PARAMETER, and name the parameter.",
     "unknown-parameters-are-refused", seconds{90}, declared_bounds_hold},
    {"hosts-of-the-first-version-are-served",
     "A host of interface 1.0 is served, and nothing behind its table is called.",
     "unknown-parameters-are-refused", seconds{30}, hosts_of_1_0_are_served},
    {"connect-tells-its-end",
     "A connect that was taken ends in link_up or connect_failed, also when it is cancelled.",
     "close-returns", seconds{60}, connect_tells_its_end},
};

}  // namespace

std::span<const test> declaration_tests() { return early; }
std::span<const test> parameter_tests() { return parameter_list; }

}  // namespace cpns::conformance
