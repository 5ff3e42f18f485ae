#pragma once
// The application of a demo: a mosquitto broker with our plugin, and an MQTT client of each PNE.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "base/temporary_folder.hpp"
#include "cli/demo/child_process.hpp"
#include "cli/demo/demo.hpp"
#include "cli/demo/timeline.hpp"
#include "cli/trial_folder.hpp"

namespace cpns::cli {

/// At most so many PNEs: for each the clients have a connection of their own, and its Entity ID is an argument of theirs.
inline constexpr std::uint32_t application_pnes_max = 1000;

/// What the clients have counted so far.
struct application_figures {
  std::uint64_t handshakes = 0;
  std::uint64_t refused = 0;  ///< by the broker: an alert of TLS, or a CONNACK with a code
  std::uint64_t sent = 0;     ///< messages that the broker acknowledged
  std::uint64_t received = 0, lost = 0;
  std::uint64_t others = 0;  ///< connections that failed for another reason, and attempts without a key
  std::chrono::milliseconds oldest_key{
      0};  ///< for how long it was the newest of its PNE when it was used last
  std::string oldest_epoch;
};

/// Everything that a demo with an application adds to the roles. Its files are in a folder of this process, which the group of the
/// broker may read: root's broker is never root. No key is in an argument or in the environment of a process. Not thread-safe;
/// start all from one thread that outlives it, because the kernel ends the children with their thread.
class mqtt_application {
 public:
  /// Finds the broker, the plugin and the clients; starts nothing. config_missing names the package to install.
  static result<std::unique_ptr<mqtt_application>> make(const demo_options& o);

  /// For the configurations of the roles.
  [[nodiscard]] trial_key_sockets sockets() const;
  /// Starts the broker and waits until it serves, then the clients of `entities`. The roles run. The logs go into `folder`, and a copy of
  /// the broker's configuration into `kept` if that is not empty.
  status start(const std::string& folder, const std::string& kept, const std::vector<std::string>& entities);
  /// The broker or the clients ended although they should run, with the reason; empty if all run.
  std::string broken();
  /// At most a second old.
  const application_figures& look();
  /// The clients begin nothing new, and end when their messages are through; look() until has_ended().
  void end_clients();
  bool has_ended();
  /// Ends what still runs: the clients, then the broker.
  void stop();

  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  struct programs {
    std::string broker, plugin, clients;
  };
  struct broker_account {
    std::string name;
    std::optional<account> as;  ///< empty: the account of this process
  };
  mqtt_application(programs found, broker_account who, std::string own_name, temporary_folder folder)
      : programs_(std::move(found)), who_(std::move(who)), own_name_(std::move(own_name)),
        private_(std::move(folder)) {}
  static result<programs> find(const demo_options& o);
  static result<broker_account> account_of_broker(const std::string& own_name);
  /// Of the subscriber on the hub; its folder is the broker's.
  [[nodiscard]] std::string hub_socket() const { return private_.path() + "/hub/hub.sock"; }
  status write_files(const std::string& kept);
  status start_broker(const std::string& folder);

  programs programs_;
  broker_account who_;
  std::string own_name_;  ///< of the account of this process
  temporary_folder private_;
  std::string log_of_broker_, log_of_clients_;
  std::uint16_t port_ = 0;
  std::optional<child_process> broker_, clients_;  ///< in the order of their starts
  std::unique_ptr<log_follower> said_;
  application_figures figures_;
  bool ending_ = false;
};

}  // namespace cpns::cli
