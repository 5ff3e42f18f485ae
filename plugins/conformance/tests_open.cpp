// open: its results, and what it must not touch.

#include <algorithm>
#include <cstring>

#include "plugins/conformance/instance.hpp"
#include "plugins/conformance/process.hpp"
#include "plugins/conformance/test.hpp"

namespace cpns::conformance {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const params& of_role(const meeting& m, cpns_role role) {
  return role == CPNS_ROLE_CENTRAL ? m.central : m.peripheral;
}

/// Opens, and closes the instance if that succeeded.
opened try_open(bench& b, std::uint32_t role, const params& p, open_how how = {}) {
  auto& r = keep_recorder(b, role == CPNS_ROLE_PERIPHERAL ? CPNS_ROLE_PERIPHERAL : CPNS_ROLE_CENTRAL);
  auto o = open_raw(b, r, role, p, how);
  if (o.status == CPNS_OK && o.transport != nullptr) close_raw(b, r, *o.transport);
  return o;
}

void refused(const opened& o, const std::string& what) {
  require(o.status != CPNS_OK, what + " must be refused: open accepted it");
  require(o.out_untouched,
          "open must leave *out unchanged unless it returns CPNS_OK: it wrote it when it refused " + what);
}

void opens_and_closes(bench& b) {
  for (const auto role : both_roles) {
    const instance i{b, role, of_role(b.draw(), role)};
    const auto& t = *i.raw();
    const auto first_size = offsetof(cpns_transport, get_extension) + sizeof t.get_extension;
    require(t.size >= first_size, "size must be sizeof(cpns_transport): it is " + std::to_string(t.size) +
                                      ", in interface 1.0 it is " + std::to_string(first_size));
    require(t.get_limits && t.scan && t.add_endpoint && t.remove_endpoint && t.connect && t.send &&
                t.disconnect && t.close && t.get_extension,
            "every function of a cpns_transport must be set: one is NULL");
  }
}

void close_returns(bench& b) {
  for (const auto role : both_roles) {
    instance i{b, role, of_role(b.draw(), role)};
    i.close();
  }
}

void opens_in_time(bench& b) {
  for (const auto role : both_roles) {
    const auto begun = std::chrono::steady_clock::now();
    const instance i{b, role, of_role(b.draw(), role)};
    const auto took = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begun);
    if (took > milliseconds{500})
      b.warn("open of the " + name_of(role) + " took " + std::to_string(took.count()) +
             " ms; a role waits for each of its radios");
  }
}

void probe_leaves_no_trace(bench& b) {
  // The open instances use the fixed ports meanwhile.
  pair p{b};
  p.bring_up(1);
  const auto before = threads_and_files();
  for (const auto role : both_roles) {
    auto& r = keep_recorder(b, role);
    const auto o = open_raw(b, r, role, of_role(p.met, role), {.probe = true});
    require(o.status == CPNS_OK && o.transport != nullptr,
            "a probe must bind no fixed port: beside an open instance, open of the " + name_of(role) +
                " returned " + name_of(o.status) + (o.logged.empty() ? "" : ": " + o.logged));
    std::this_thread::sleep_for(milliseconds{50});
    close_raw(b, r, *o.transport);
  }
  leave_no_more(b, before, "a probe");
  require(p.central.heard.links_ever() == 1 && p.peripheral.heard.links_ever() == 1,
          "a probe must send nothing: an open instance got another link from it");
}

void limits_are_sound(bench& b) {
  for (const auto role : both_roles) {
    instance i{b, role, of_role(b.draw(), role)};
    const auto& l = i.limits;
    require(l.mtu >= 23 && l.mtu <= 65535, "mtu must be 23 to 65535: it is " + std::to_string(l.mtu));
    require(l.max_links >= 1, "max_links must be at least 1: it is 0");
    if (role == CPNS_ROLE_CENTRAL)
      require(l.max_endpoints == 0,
              "max_endpoints must be 0 for a central: it is " + std::to_string(l.max_endpoints));
    else
      require(l.max_endpoints >= 1, "max_endpoints of a peripheral must be at least 1: it is 0");
    require(l.duty_permille <= 1000,
            "duty_permille must be at most 1000: it is " + std::to_string(l.duty_permille));
    // The limits of a host of interface 1.0 are smaller; the plugin must not write behind them.
    constexpr std::size_t first_size = offsetof(cpns_limits, traits) + sizeof l.traits;
    alignas(cpns_limits) std::uint8_t room[first_size + 64];
    std::fill(std::begin(room), std::end(room), std::uint8_t{0xa5});
    const auto size = static_cast<std::uint32_t>(first_size);
    std::memcpy(room, &size, sizeof size);
    i.raw()->get_limits(i.raw()->context, reinterpret_cast<cpns_limits*>(room));
    require(std::all_of(room + first_size, std::end(room), [](std::uint8_t x) { return x == 0xa5; }),
            "get_limits must write no more than size bytes: it wrote more");
    const auto again = i.read_limits();
    require(again.mtu == l.mtu && again.max_links == l.max_links && again.traits == l.traits,
            "limits must not change: a second get_limits differs from the first");
  }
}

void unknown_parameters_are_refused(bench& b) {
  for (const auto role : both_roles) {
    auto p = of_role(b.draw(), role);
    p["no-such-parameter"] = "1";
    const auto o = try_open(b, role, p);
    refused(o, "an unknown parameter");
    require(o.status == CPNS_BAD_PARAMETER,
            "open must return CPNS_BAD_PARAMETER for an unknown parameter: it returned " + name_of(o.status));
    if (o.logged.find("no-such-parameter") == std::string::npos)
      b.warn("open should log the name of a refused parameter");
  }
}

void bad_values_are_refused(bench& b) {
  if (b.on.refused.empty()) throw test_skipped{"no bad values are given (refused: in the check file)"};
  for (const auto& text : b.on.refused) {
    const auto bad = split_parameter(text);
    require(bad.has_value(), "'" + text + "' under refused: is not name=value");
    for (const auto role : both_roles) {
      auto p = of_role(b.draw(), role);
      p[bad->first] = bad->second;
      const auto o = try_open(b, role, p);
      refused(o, text);
      require(o.status == CPNS_BAD_PARAMETER,
              "open must return CPNS_BAD_PARAMETER for " + text + ": it returned " + name_of(o.status));
      if (o.logged.empty()) b.warn("open should log why it refused " + text);
    }
  }
}

void unknown_roles_are_refused(bench& b) {
  const auto met = b.draw();
  for (const std::uint32_t role : {0u, 3u, 77u, 0xffffffffu})
    for (const auto* p : {&met.central, &met.peripheral})
      refused(try_open(b, role, *p), "role " + std::to_string(role));
}

void sizes_are_respected(bench& b) {
  for (const auto role : both_roles) {
    const auto p = of_role(b.draw(), role);
    refused(try_open(b, role, p, {.host_size = 16}), "a cpns_host of 16 bytes, without any function,");
    refused(try_open(b, role, p, {.args_size = 8}), "a cpns_open_args of 8 bytes, without parameters,");
  }
}

/// If no parameter separates two networks, as for a radio with one address, only one pair has links.
void instances_live_side_by_side(bench& b) {
  const auto drawn = b.draw(), again = b.draw();
  const bool apart = drawn.central != again.central || drawn.peripheral != again.peripheral;
  pair one{b}, two{b};
  one.bring_up(1);
  if (apart) two.bring_up(1);
  {
    pair three{b};
    if (apart) three.bring_up(2);
  }
  const auto e = one.ends_of(1);
  require(one.central.heard.count_up() == 1 && two.central.heard.count_up() == (apart ? 1 : 0),
          "several instances may be open at once: closing one changed the links of another");
  require(one.central.send_until_taken(e.central, numbered(1, 8)) == CPNS_OK,
          "several instances may be open at once: a send failed after another one was closed");
}

constexpr test open_list[] = {
    {"opens-and-closes", "Both roles open with the given parameters, have all functions, and close.",
     "parameters-are-declared", seconds{20}, opens_and_closes},
    {"opens-in-time", "open returns within two seconds.", "opens-and-closes", seconds{30}, opens_in_time},
    {"close-returns", "close returns within two seconds.", "opens-in-time", seconds{30}, close_returns},
    {"limits-are-sound",
     "The limits of get_limits are in range and do not change, and it writes no more than the host's size.",
     "opens-and-closes", seconds{20}, limits_are_sound},
    {"unknown-parameters-are-refused", "open returns CPNS_BAD_PARAMETER for an unknown parameter.",
     "close-returns", seconds{20}, unknown_parameters_are_refused},
    {"bad-values-are-refused",
     "open returns CPNS_BAD_PARAMETER for the values under refused: in the check file.", "close-returns",
     seconds{60}, bad_values_are_refused},
    {"unknown-roles-are-refused", "open refuses a role that is neither central nor peripheral.",
     "close-returns", seconds{20}, unknown_roles_are_refused},
    {"sizes-are-respected",
     "open refuses a host or arguments that are too small for the interface, and does not read past their "
     "end.",
     "close-returns", seconds{20}, sizes_are_respected},
};
constexpr test later[] = {
    {"probe-leaves-no-trace",
     "A probe works beside an open instance, sends nothing and leaves nothing behind.", "link-comes-up",
     seconds{30}, probe_leaves_no_trace},
    {"instances-live-side-by-side", "Several instances may be open at once and do not affect each other.",
     "link-comes-up", seconds{60}, instances_live_side_by_side},
};

}  // namespace

std::span<const test> open_tests() { return open_list; }
std::span<const test> open_together_tests() { return later; }

}  // namespace cpns::conformance
