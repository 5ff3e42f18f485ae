#pragma once
// What the role remembers of an isolated radio across the lives of its processes, and the judge of what such
// a process says.

#include <deque>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/clock.hpp"
#include "plugins/isolation/wire.hpp"

namespace cpns::plugins::isolation {

/// Own ids of links grow for ever and are not used twice; those of the child begin again with each process.
/// An error of a member that takes a child's id means that the child broke a rule and has to go. Not
/// thread-safe.
class link_book {
 public:
  static constexpr std::uint32_t window = 128;               ///< messages of one link that the child may hold
  static constexpr std::uint32_t window_of_all = 16 * 1024;  ///< of all links
  static constexpr std::size_t connects_max = 1024;          ///< under way at once
  static constexpr std::uint32_t ups_burst = 16 * 1024;      ///< links that may come up at once ...
  static constexpr std::uint32_t ups_a_second = 4 * 1024;    ///< ... and how many a second in the long run

  explicit link_book(transport_role role) : role_(role) {}

  // What the role wants; it is replayed to each new child.
  /// state_exists, or state_exhausted above `most`, as a transport says it.
  status add_endpoint(endpoint_id endpoint, std::string name, std::uint32_t most, const std::string& plugin);
  void remove_endpoint(endpoint_id endpoint) { endpoints_.erase(endpoint); }
  void set_scan(bool on) { scanning_ = on; }
  void set_power(power_level p) { power_ = p; }
  /// The commands that make a new child do what the last one did.
  [[nodiscard]] std::vector<command> replay() const;
  /// A connect is under way, of which link_up, connect_failed or ended() is told. The oldest is forgotten
  /// above the bound: plugins of interface 1.0 do not tell its end.
  void connecting(std::string address);
  void connect_failed(const std::string& address);

  /// Takes one message for a link into account; the child's id. plugin_link or state_overloaded.
  result<link_id> reserve(link_id own);
  /// 0 if the link is not up.
  [[nodiscard]] link_id child_id(link_id own) const;
  /// As the child told last.
  [[nodiscard]] link_quality quality(link_id own) const;

  // What the child said, at the time `now` (any origin, never going back).
  void opened(std::uint32_t max_links, milliseconds now);
  /// The own id to tell of; nullopt: the endpoint was taken away meanwhile, and the link is to be
  /// disconnected.
  result<std::optional<link_id>> up(const up_report& r, milliseconds now);
  /// The own id to tell of; nullopt for a link that was not told of or is gone.
  result<std::optional<link_id>> down(link_id child);
  result<std::optional<link_id>> message(link_id child, std::size_t bytes) const;
  status taken(const taken_report& r);
  status quality(const quality_report& r);
  /// What its process took with it.
  struct losses {
    std::vector<link_id> links;         ///< own ids that were up, in their order
    std::vector<std::string> connects;  ///< addresses, the oldest first
  };
  losses ended();

 private:
  struct link {
    link_id own = 0;  ///< 0: not told of
    std::uint32_t in_hand = 0;
    link_quality quality{};
  };
  /// Threads of the child may tell in another order than that in which it happened, so what is told of a link
  /// that is gone is left alone.
  [[nodiscard]] bool gone(link_id child) const {
    return child != 0 && child <= highest_ && links_.count(child) == 0;
  }

  const transport_role role_;
  std::map<endpoint_id, std::string> endpoints_;
  bool scanning_ = false;
  power_level power_ = power_level::full;
  link_id last_own_ = 0;
  // Of the present child.
  std::unordered_map<link_id, link> links_;
  std::unordered_map<link_id, link_id> child_of_;
  std::deque<std::string> connecting_;
  link_id highest_ = 0;
  std::uint32_t max_links_ = 0, in_hand_ = 0, ups_left_ = ups_burst;
  milliseconds ups_counted_{0};
};

}  // namespace cpns::plugins::isolation
