#pragma once
// A complete trial installation in one folder: what `cpns init` and `cpns demo` start from.
//
//   server.yaml gateway.yaml pne.yaml      configurations that run as they stand
//   tls/                                   a development CA, a server's and a gateway's certificate
//   server.kek gateway.kek pne.kek         key files of the three stores
//   user, password                         the CPNS User ID and its password, which the gateway reads once
//   devices.csv                            manufactured devices with their Temporary Keys, for both sides
//   state/                                 the stores; the server's has the user and the devices already

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "config/schema.hpp"

namespace cpns::cli {

struct trial_options {
  std::filesystem::path folder{};
  unsigned devices = 3;  ///< 0 to device_rows_max
  std::string user = "alice@example.org";
  std::string server_name = "main";
  std::string gateway_name = "gw1";
  config::address listen{"127.0.0.1", 7443};
  std::string plugin = "tcp";                           ///< a plugin's name or an absolute path
  std::map<std::string, std::string> gateway_params{};  ///< of the transport
  std::map<std::string, std::string> pne_params{};
  std::vector<std::filesystem::path> plugin_dirs{};
  milliseconds rekey = std::chrono::hours(24);
  bool json_logs = false;
  bool ready_files = false;    ///< state/ROLE.ready is written by each role
  bool isolated = false;       ///< the radios run in processes of their own
  bool memory_server = false;  ///< the server keeps its store in memory, so user and devices are not in it
};

/// What the tcp plugin is told when trial_options name nothing: loopback addresses only.
std::map<std::string, std::string> default_gateway_params();
std::map<std::string, std::string> default_pne_params();

struct trial_report {
  std::filesystem::path server_yaml, gateway_yaml, pne_yaml;
  std::filesystem::path devices_csv, user_file, password_file;
};

/// Makes the folder (mode 0700). config_usage if it is there and not empty; after an error nothing of it is
/// left. Private files have mode 0600.
result<trial_report> make_trial_folder(const trial_options& options);

}  // namespace cpns::cli
