#pragma once
// Radios as JSON for people, for gateway and PNE.

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "actors/radio.hpp"

namespace cpns::actors {

/// A radio can have thousands of links, and an answer never holds more than a page: of each radio the first
/// links_shown_max that were added are kept, and all are counted.
class radio_links {
 public:
  static constexpr std::size_t links_shown_max = 100;

  struct line {
    std::uint64_t link = 0;
    std::string address;
    std::string entity;  ///< empty until a device answers on it
  };
  struct of_radio {
    std::vector<line> first;
    std::size_t count = 0;  ///< of all links
  };

  explicit radio_links(std::size_t radios) : of_(radios) {}
  /// `transport`: the index of the radio, less than the number of radios.
  void add(std::uint64_t transport, std::uint64_t link, const std::string& address,
           const std::string& entity);
  [[nodiscard]] const of_radio& of(std::size_t transport) const { return of_[transport]; }

 private:
  std::vector<of_radio> of_;
};

/// {"radios":[{"name", "state", "reason", "plugin", "version", "counters": {name: number}, "link_count", "links":
/// [{"address", "entity", "rssi_dbm", "security"}]}]}; unknown fields are left out. `links` is made for as many radios.
/// Calls the plugins, which may take time.
boost::json::object describe_radios(const std::vector<open_radio_entry>& radios, const radio_links& links);
/// [{"name", "state", "reason"}]; without a reason if it is open. Calls the plugins, as describe_radios does.
boost::json::array describe_radio_states(const std::vector<open_radio_entry>& radios);

}  // namespace cpns::actors
