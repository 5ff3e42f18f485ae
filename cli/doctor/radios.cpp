// The radios of a gateway or a PNE.

#include "cli/doctor/doctor.hpp"

namespace cpns::cli::doctor {

lines check_transport(const subject& s, const config::transport_config& radio) {
  lines out;
  const auto named = "the radio " + radio.name + " (" + radio.plugin + ")";
  if (s.running())
    return {
        {state_t::ok, named + " is not opened here, because the running role uses it; `" +
                          (s.file.role == config::role_kind::pne ? "cpns pne radios" : "cpns pnes radios") +
                          "` shows it"}};
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
