#pragma once
// `cpns doctor --with`: what two sides of a system have to agree on.
//
// Each of two configurations can be right, and the sides still do not meet, or have keys that differ. No check of one role
// finds that. Here both files are read, and nothing else but Entity IDs, certificates and the descriptions of radio plugins,
// so that the files can come from two machines. Only what the roles require is compared: a difference that works is none.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "cli/doctor/doctor.hpp"
#include "config/loader.hpp"

namespace cpns::cli::doctor {

struct comparison {
  std::string config, with;     ///< the files, as they were named
  std::string role, with_role;  ///< empty: that file has errors
  std::vector<finding> findings;
};
/// Compares a gateway with its PNEs, or with its server, in either order. Other pairs are one error.
comparison compare(const std::string& config, const std::string& with, const tools& use);

/// One of the two files.
template <class Config>
struct side {
  const config::checked_file& file;
  const Config& config;

  /// "FILE:LINE:COLUMN", of the key or of the nearest section around it.
  [[nodiscard]] std::string place(std::string_view key) const {
    const auto at = config::place_in(file.places, key);
    return file.file.string() + ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
  }
  /// "FILE:LINE:COLUMN: 'KEY'".
  [[nodiscard]] std::string named(std::string_view key) const {
    return place(key) + ": '" + std::string{key} + "'";
  }
};
using gateway_side = side<config::gateway_config>;
using pne_side = side<config::pne_config>;
using server_side = side<config::server_config>;

/// Whether a connection to `to` can arrive at the listener `own`, as far as their texts tell: a name can be any address.
bool arrives(const config::address& to, const config::address& own);

/// The devices of a process of PNEs.
struct known_devices {
  std::optional<std::vector<entity_id>> all;  ///< nullopt: their list cannot be read
  std::string why;                            ///< it cannot be read
};
known_devices devices_of(const config::pne_config& c);
/// "urn:dev:mac:0024befffe804ff1 and 3 others"; `some` is not empty.
std::string names_of(const std::vector<entity_id>& some);

// The comparisons, by source file. Each returns at least one line.

lines compare_purposes(const gateway_side& g, const pne_side& p, const known_devices& d);  // compare_keys.cpp
lines compare_timers(const gateway_side& g, const pne_side& p);                            // compare_keys.cpp
lines compare_devices(const gateway_side& g, const pne_side& p,
                      const known_devices& d);                                     // compare_devices.cpp
lines compare_radios(const gateway_side& g, const pne_side& p, const tools& use);  // compare_radios.cpp
lines compare_addresses(const gateway_side& g, const server_side& s);              // compare_server.cpp
lines compare_identities(const gateway_side& g, const server_side& s);             // compare_server.cpp
lines compare_renewal(const gateway_side& g, const server_side& s);                // compare_server.cpp

}  // namespace cpns::cli::doctor
