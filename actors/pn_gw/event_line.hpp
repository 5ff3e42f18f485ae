#pragma once
// The log line of an event of a device's machine.

#include <initializer_list>
#include <string>
#include <string_view>

#include "actors/pn_gw/actors.hpp"
#include "actors/pn_gw/strangers.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"

namespace cpns::actors {

/// [any-thread] Writes the line to the log; that of an event which any peer in range can cause only as far as `lines` has
/// room. `now`: of the event; `began`: when its exchange began.
inline void write_event(unproven_lines& lines, const protocol::gw_event& e, const std::string& entity,
                        time_point now, time_point began) {
  const auto line = protocol::describe_event(e.kind);
  const auto text = e.why.empty() ? line.text : std::string_view{e.why};
  const auto write = [&](std::initializer_list<log::field> fields) {
    if (e.unproven) return lines.write(now, line.level, line.id, text, fields);
    if (log::enabled(line.level, gateway_component))
      log::write(line.level, gateway_component, line.id, text, fields);
  };
  write({{"entity", entity},
         {"epoch", e.which ? e.which->text() : std::string{}},
         {"step", std::string{line.step}},
         {"ms", std::to_string((now - began).count())}});
}

}  // namespace cpns::actors
