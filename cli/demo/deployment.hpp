#pragma once
// The three roles of a demo: separate processes, or one process for a radio that does not leave it.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "cli/demo/child_process.hpp"
#include "cli/demo/demo.hpp"

namespace cpns::cli {

/// The resources that a role has used since its start.
struct role_usage {
  std::string role;  ///< "all" if the roles share one process, that of the demo
  process_usage used;
};

class deployment {
 public:
  virtual ~deployment() = default;
  /// Called at each part of the start: "starting the server".
  using part_fn = std::function<void(const std::string&)>;
  /// Makes the devices, then starts server, gateway and PNEs, each after the former is ready.
  virtual status start(const part_fn& part) = 0;
  /// The JSON log files of the roles.
  [[nodiscard]] virtual std::vector<std::string> logs() const = 0;
  /// A role that ended although it should run, with its last error; empty if all run.
  virtual std::string broken() = 0;
  [[nodiscard]] virtual std::vector<role_usage> usage() const = 0;
  /// `what` is "sleep" or "wake".
  virtual status command_pne(const std::string& what, const std::string& entity) = 0;
  /// The gateway delivers the next key now, as by `cpns pnes update`.
  virtual status update_pne(const std::string& entity) = 0;
  /// Ends the roles in order.
  virtual void stop() = 0;
};

/// The trial folder is made at `folder`. `cancelled` is polled while a role starts.
std::unique_ptr<deployment> make_processes(const demo_options& o, const std::string& folder,
                                           std::function<bool()> cancelled);
std::unique_ptr<deployment> make_one_process(const demo_options& o, const std::string& folder);

/// Periodic updates of all PNEs: half of the first keys that one machine delivers per second.
inline constexpr std::uint32_t updates_per_second = 500;

/// With an application the keys change while one watches; of many PNEs so many in a second.
inline constexpr std::uint32_t rekey_of_application = 2, application_updates_per_second = 100;

/// The longest interval of updates for which a demo waits.
inline constexpr std::uint32_t awaited_rekey_max = 10;

/// Seconds between two periodic updates: as the user chose, else by the number of PNEs.
inline std::uint32_t rekey_of(const demo_options& o) {
  if (o.rekey_seconds != 0) return o.rekey_seconds;
  return o.application.empty() ? std::max<std::uint32_t>(5, o.pnes / updates_per_second)
                               : std::max(rekey_of_application, o.pnes / application_updates_per_second);
}
/// Whether the updates are ordered, because nobody wants to wait for the timers; not if the user chose the interval.
inline bool orders_updates(const demo_options& o) {
  return o.rekey_seconds == 0 && rekey_of(o) > awaited_rekey_max;
}

}  // namespace cpns::cli
