#pragma once
// `cpns demo`: all roles with real configurations and stores in a folder of their own.

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "cli/trial_folder.hpp"

namespace cpns::cli {

struct demo_options {
  std::uint32_t pnes = 5;
  std::string transport = "tcp";    ///< name or path of a plugin; with "tcp" each role is a process
  std::uint32_t rekey_seconds = 0;  ///< 0: chosen by the number of PNEs
  std::string isolation = "none";   ///< of the radios: "none" or "process"
  std::string keep;                 ///< the folder, which stays; empty: a temporary one
  bool json = false;
  std::string application;                                 ///< "mqtt", or empty: none
  std::uint32_t seconds = 30;                              ///< for which the application runs
  std::string broker = "mosquitto";                        ///< name or path of the program
  std::optional<trial_key_sockets> key_sockets;            ///< of the application
  std::map<std::string, std::string> params, peer_params;  ///< for the radio of the gateway, of the PNEs
};

/// Runs the demo; call block_signals before. Returns the exit code: 0 if every PNE was keyed, one was updated and
/// one was woken; with an application: if every PNE was keyed, keys changed, none was refused and no message lost.
int run_demo(const demo_options& o);

}  // namespace cpns::cli
