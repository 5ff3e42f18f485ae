#pragma once
// Which device leaves the memory of the gateway first (its record stays), and which died lately.

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>

#include "actors/pn_gw/actors.hpp"

namespace cpns::actors {

/// Devices that can be evicted: those that only somebody's word brought here first, then those that were away
/// for longest.
class eviction_order {
 public:
  static constexpr std::size_t said_max = 256;
  struct place {
    bool said_only;
    std::list<std::uint64_t>::iterator at;
  };
  place put(std::uint64_t device, sup_unneeded::kind_t kind) {
    const bool said_only = kind == sup_unneeded::kind_t::awaits_person;
    auto& list = said_only ? said_ : away_;
    return {said_only, list.insert(list.end(), device)};
  }
  void take(const place& p) { (p.said_only ? said_ : away_).erase(p.at); }
  /// The oldest of those that only somebody's word brought here, when they are too many: a person is asked
  /// about each, and anybody in range can invent one.
  [[nodiscard]] std::optional<std::uint64_t> surplus() const {
    return said_.size() > said_max ? std::optional{said_.front()} : std::nullopt;
  }
  [[nodiscard]] std::optional<std::uint64_t> first() const {
    if (!said_.empty()) return said_.front();
    if (!away_.empty()) return away_.front();
    return std::nullopt;
  }

 private:
  std::list<std::uint64_t> said_, away_;
};

class recent_deaths {
 public:
  static constexpr seconds pause{60};
  /// Notes that the actor of `entity` died; true if it did that within the pause before: then it waits until
  /// the device is seen.
  bool again(const std::string& entity, time_point now) {
    for (auto it = last_.begin(); it != last_.end();)
      it = now - it->second > pause ? last_.erase(it) : std::next(it);
    return !last_.emplace(entity, now).second;
  }

 private:
  std::unordered_map<std::string, time_point> last_;
};

}  // namespace cpns::actors
