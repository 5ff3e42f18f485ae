#pragma once
// `cpns demo`: the whole system in a folder of its own, as it would run for real.

#include <cstdint>
#include <map>
#include <string>

namespace cpns::cli {

struct demo_options {
  std::uint32_t pnes = 5;
  std::string transport = "tcp";    ///< the name or the path of a plugin; "tcp" has processes of their own
  std::uint32_t rekey_seconds = 0;  ///< 0: chosen by the number of PNEs
  std::string isolation = "none";   ///< of the radios: "none" or "process"
  std::string keep;                 ///< folder that stays; empty: a temporary one that goes
  bool json = false;
  std::map<std::string, std::string> params, peer_params;  ///< for the radio of the gateway, of the PNEs
};

/// Runs it and gives the exit code: 0 when every PNE was keyed, one was updated and one was woken. The caller
/// has called block_signals.
int run_demo(const demo_options& o);

}  // namespace cpns::cli
