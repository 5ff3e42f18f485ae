#pragma once
// A gateway's radios and links, for people.

#include <string>
#include <vector>

#include "actors/radio.hpp"
#include "protocol/pn_gw/pn_gw_machine.hpp"

namespace cpns::actors {

struct link_line {
  protocol::gw_link link;
  std::string address;
  std::string entity;  ///< empty while no device answered on it
};

/// {"radios":[{"name", "plugin", "version", "counters": {name: number}, "links": [{"address", "entity",
/// "rssi_dbm", "security"}]}]}; what is not known is left out. Asks the plugins, so it may take their time.
std::string describe_radios(const std::vector<open_radio_entry>& radios, const std::vector<link_line>& links);

}  // namespace cpns::actors
