#pragma once
// The order in which devices are evicted from memory (their records stay), and the devices whose actor died
// recently.

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>

#include "actors/pn_gw/actors.hpp"

namespace cpns::actors {

/// Devices that can be evicted: first those that an unverified peer only claimed, then those away for longest.
class eviction_order {
 public:
  static constexpr std::size_t claimed_max = 256;
  struct place {
    bool claimed_only;
    std::list<std::uint64_t>::iterator at;
  };
  place put(std::uint64_t device, sup_unneeded::kind_t kind) {
    const bool claimed_only = kind == sup_unneeded::kind_t::awaits_person;
    auto& list = claimed_only ? claimed_ : away_;
    return {claimed_only, list.insert(list.end(), device)};
  }
  void take(const place& p) { (p.claimed_only ? claimed_ : away_).erase(p.at); }
  /// The oldest claimed device if there are more than claimed_max: the operator is asked about each, and any
  /// peer in range can invent one.
  [[nodiscard]] std::optional<std::uint64_t> surplus() const {
    return claimed_.size() > claimed_max ? std::optional{claimed_.front()} : std::nullopt;
  }
  [[nodiscard]] std::optional<std::uint64_t> first() const {
    if (!claimed_.empty()) return claimed_.front();
    if (!away_.empty()) return away_.front();
    return std::nullopt;
  }

 private:
  std::list<std::uint64_t> claimed_, away_;
};

class recent_deaths {
 public:
  static constexpr seconds pause{60};
  /// Records that the actor of `entity` died. True if it also died within the last `pause`: then it is not
  /// restarted until the device is seen again.
  bool again(const std::string& entity, time_point now) {
    for (auto it = last_.begin(); it != last_.end();)
      it = now - it->second > pause ? last_.erase(it) : std::next(it);
    return !last_.emplace(entity, now).second;
  }

 private:
  std::unordered_map<std::string, time_point> last_;
};

}  // namespace cpns::actors
