#pragma once
// The three roles of a demo: separate processes, or one process for a radio that does not leave it.

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "cli/demo/demo.hpp"
#include "cli/process.hpp"

namespace cpns::cli {

/// What a role has used since it began to run.
struct role_usage {
  std::string role;  ///< "all": the roles share a process, and this demo with them
  process_usage used;
};

class deployment {
 public:
  virtual ~deployment() = default;
  /// Starts one role after the other; a later one is told where an earlier one listens.
  virtual status start() = 0;
  /// The log files of the roles, JSON.
  [[nodiscard]] virtual std::vector<std::string> logs() const = 0;
  /// What stopped although it should run; empty if all is well.
  virtual std::string broken() = 0;
  [[nodiscard]] virtual std::vector<role_usage> usage() const = 0;
  /// "sleep" or "wake".
  virtual status tell_pne(const std::string& what, const std::string& entity) = 0;
  /// Puts everything down in order.
  virtual void stop() = 0;
};

/// The home of a demo is made in `folder`. `cancelled` is asked while waiting.
std::unique_ptr<deployment> make_processes(const demo_options& o, const std::string& folder,
                                           std::function<bool()> cancelled);
std::unique_ptr<deployment> make_one_process(const demo_options& o, const std::string& folder);

/// What the updates may take of a machine on which a thousand first keys take a second.
inline constexpr std::uint32_t updates_a_second = 500;

/// Seconds between two periodic updates, chosen when the user did not say.
inline std::uint32_t rekey_of(const demo_options& o) {
  return o.rekey_seconds != 0 ? o.rekey_seconds : std::max<std::uint32_t>(5, o.pnes / updates_a_second);
}

}  // namespace cpns::cli
