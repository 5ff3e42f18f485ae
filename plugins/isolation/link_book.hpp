#pragma once
// The role's state of an isolated radio, kept across its processes, and the checks of a process's reports.

#include <deque>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/clock.hpp"
#include "plugins/isolation/wire.hpp"

namespace cpns::plugins::isolation {

/// Link ids of a child restart with each process, but the role's ids must never be reused, so this maps between
/// them. An error of a member that takes a child's id means that the child broke a rule and must be killed. Not
/// thread-safe.
class link_book {
 public:
  static constexpr std::uint32_t window = 128;               ///< messages pending in the child per link
  static constexpr std::uint32_t window_of_all = 16 * 1024;  ///< the same for all links together
  static constexpr std::size_t connects_max = 1024;          ///< pending at once
  static constexpr std::uint32_t ups_burst =
      16 * 1024;  ///< links that may come up at once; or all of max_links
  static constexpr std::uint32_t ups_per_second = 4 * 1024;  ///< sustained rate of links that come up

  explicit link_book(transport_role role) : role_(role) {}

  // The role's settings, replayed to each new child.
  /// state_exists, or state_exhausted above `most`. `plugin` is for the error's text.
  status add_endpoint(endpoint_id endpoint, std::string name, std::uint32_t most, const std::string& plugin);
  void remove_endpoint(endpoint_id endpoint) { endpoints_.erase(endpoint); }
  void set_scan(bool on) { scanning_ = on; }
  void set_power(power_level p) { power_ = p; }
  /// The commands that restore these settings in a new child.
  [[nodiscard]] std::vector<command> replay() const;
  /// Notes a pending connect; it ends with up(), connect_failed() or ended(). Above the bound the oldest is
  /// forgotten, because plugins of interface 1.0 do not report failures.
  void connecting(std::string address);
  void connect_failed(const std::string& address);

  /// Counts one message to a link as pending; returns the child's id. plugin_link or state_overloaded.
  result<link_id> reserve(link_id own);
  /// The child's id of a link; 0 if it is not up.
  [[nodiscard]] link_id child_id(link_id own) const;
  /// The child's last report.
  [[nodiscard]] link_quality quality(link_id own) const;

  // Reports of the child. `now`: monotonic time of any origin.
  void opened(std::uint32_t max_links, milliseconds now);
  /// The new link's own id. nullopt: the endpoint was removed meanwhile, and the link must be disconnected.
  result<std::optional<link_id>> up(const up_report& r, milliseconds now);
  /// The own id to report to the listener; nullopt if the link was never reported, or is already gone.
  result<std::optional<link_id>> down(link_id child);
  result<std::optional<link_id>> message(link_id child, std::size_t bytes) const;
  status taken(const taken_report& r);
  status quality(const quality_report& r);
  /// Links and connects lost with the process.
  struct losses {
    std::vector<link_id> links;         ///< own ids, ascending
    std::vector<std::string> connects;  ///< addresses, the oldest first
  };
  losses ended();

 private:
  struct link {
    link_id own = 0;  ///< 0: never reported to the listener
    std::uint32_t pending = 0;
    link_quality quality{};
  };
  /// Whether the link was up before. Threads of the child may report out of order, so late reports of such a link
  /// are ignored.
  [[nodiscard]] bool gone(link_id child) const {
    return child != 0 && child <= highest_ && links_.count(child) == 0;
  }

  const transport_role role_;
  std::map<endpoint_id, std::string> endpoints_;
  bool scanning_ = false;
  power_level power_ = power_level::full;
  link_id last_own_ = 0;
  // Of the current child.
  std::unordered_map<link_id, link> links_;
  std::unordered_map<link_id, link_id> child_of_;
  std::deque<std::string> connecting_;
  link_id highest_ = 0;
  std::uint32_t max_links_ = 0, pending_ = 0, ups_left_ = ups_burst, ups_most_ = ups_burst;
  milliseconds ups_counted_{0};
};

}  // namespace cpns::plugins::isolation
