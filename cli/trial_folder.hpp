#pragma once
// A complete trial installation in one folder, for `cpns init` and `cpns demo`.
//
//   server.yaml gateway.yaml pne.yaml      configurations, ready to run
//   tls/                                   a development CA with its list of revoked certificates, a server's and a
//                                          gateway's certificate
//   server.kek gateway.kek pne.kek         key files of the three stores
//   user, password                         the CPNS User ID and its password, which the gateway reads once
//   devices.csv                            manufactured devices with their Temporary Keys, for server and PNEs
//   state/                                 the stores; that of the server has the user and the devices already;
//                                          and the audit trails ROLE.audit.jsonl

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "config/schema.hpp"

namespace cpns::cli {

/// The sockets of gateway and PNEs for application keys of the purpose `mqtt`, each for one user.
struct trial_key_sockets {
  std::filesystem::path gateway, pne;
  std::string gateway_user, pne_user;
};

struct trial_options {
  std::filesystem::path folder{};
  unsigned devices = 3;  ///< 0 to device_rows_max
  std::string user = "alice@example.org";
  std::string server_name = "main";
  std::string gateway_name = "gw1";
  config::address listen{"127.0.0.1", 7443};
  std::string plugin = "tcp";  ///< a plugin's name or an absolute path
  std::map<std::string, std::string>
      gateway_params{};  ///< of the transport; empty: for tcp, loopback addresses
  std::map<std::string, std::string> pne_params{};
  std::vector<std::filesystem::path> plugin_dirs{};
  milliseconds rekey = std::chrono::hours(24);
  milliseconds answer_timeout = config::gateway_timers{}.answer_timeout;  ///< of the gateway
  bool json_logs = false;
  bool server_steps = false;                       ///< the server logs each step of an assignment
  bool ready_files = false;                        ///< each role writes state/ROLE.ready
  bool isolated = false;                           ///< each radio runs in a child process
  std::optional<trial_key_sockets> key_sockets{};  ///< without: no application keys
  bool memory_server = false;  ///< the server's store is in memory, without the user and the devices
};

struct trial_report {
  std::filesystem::path server_yaml, gateway_yaml, pne_yaml;
  std::filesystem::path devices_csv, user_file, password_file;
};

/// Makes the folder (mode 0700); private files have mode 0600. config_usage if it is not empty, state_stopping if
/// a signal interrupts it. After an error its content is removed.
result<trial_report> make_trial_folder(const trial_options& options);

/// The configurations of the three roles.
std::string server_yaml(const trial_options& o);
std::string gateway_yaml(const trial_options& o);
std::string pne_yaml(const trial_options& o);

}  // namespace cpns::cli
