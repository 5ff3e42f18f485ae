// The radios of a gateway or a PNE.

#include <boost/json.hpp>

#include "cli/doctor/doctor.hpp"
#include "cli/role_client.hpp"

namespace cpns::cli::doctor {
namespace {

/// The radio as the running role shows it.
line running_radio(const subject& s, const std::string& name, const std::string& named) {
  line not_opened{state_t::ok, named + " is not opened here, because the running role uses it"};
  const auto now = status_of_role(s);
  const auto* all = now ? now->if_contains("radios") : nullptr;
  if (all == nullptr || !all->is_array()) return not_opened;  // the line `ready` says why
  for (const auto& one : all->get_array()) {
    const auto& radio = one.as_object();
    if (text_of(radio, "name") != name) continue;
    if (text_of(radio, "state") == "open")
      return {state_t::ok,
              named + " is open in the running role; `" +
                  (s.file.role == config::role_kind::pne ? "cpns pne radios" : "cpns pnes radios") +
                  "` shows its links"};
    return {state_t::error, named + " is not open in the running role: " + text_of(radio, "reason") +
                                "; look for its adapter, its service or its address, and for another process "
                                "that uses it (`ss -ltnp` shows those with a port)"};
  }
  return {state_t::error,
          named + " is not a radio of the running role, which has an older configuration; start it again"};
}

}  // namespace

lines check_transport(const subject& s, const config::transport_config& radio) {
  lines out;
  const auto named = "the radio " + radio.name + " (" + radio.plugin + ")";
  if (s.running()) return {running_radio(s, radio.name, named)};
  for (auto& text : s.with.check_radio(radio, s.file.plugin_dirs, s.file.role).lines())
    out.push_back({state_t::error, std::move(text)});
  if (!out.empty()) return out;
  const auto opened = s.with.try_radio(radio, s.file.plugin_dirs, s.file.role);
  if (opened) return {{state_t::ok, named + " can be opened"}};
  // An adapter or an address may appear later: the role waits for it, so it is not an error of the configuration.
  const bool waits = opened.error() == errc::plugin_failed;
  return {{waits ? state_t::warning : state_t::error,
           named + " cannot be opened: " + opened.error().detail +
               (waits ? "; the role starts nevertheless and tries again every 5 s; look for the adapter, its "
                        "service or its address on this machine, and for another process that uses it "
                        "(`ss -ltnp` shows those with a port)"
                      : "; the role does not start like this")}};
}

}  // namespace cpns::cli::doctor
