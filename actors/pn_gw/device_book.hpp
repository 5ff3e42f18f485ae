#pragma once
// The order in which devices are evicted from memory (their records stay), and the devices whose actor died
// recently.

#include <cstdint>
#include <deque>
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
    enum class list_t : std::uint8_t { none, claimed, away };
    std::list<std::uint64_t>::iterator at;
    list_t in = list_t::none;
    explicit operator bool() const { return in != list_t::none; }
  };
  place put(std::uint64_t device, sup_unneeded::kind_t kind) {
    const bool claimed_only = kind == sup_unneeded::kind_t::awaits_person;
    auto& list = claimed_only ? claimed_ : away_;
    return {list.insert(list.end(), device), claimed_only ? place::list_t::claimed : place::list_t::away};
  }
  void take(const place& p) { (p.in == place::list_t::claimed ? claimed_ : away_).erase(p.at); }
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

/// Devices that need no actor, in the order in which their actors may end. A device that ends one exchange often begins
/// the next one soon, so its actor stays for a while, and for a moment even if many wait: a PNE that sends without end
/// must not cause an actor for each message.
class rest_queue {
 public:
  static constexpr milliseconds rest_after{3000}, at_least{100};
  static constexpr std::size_t waiting_max = 1024;  ///< over that, the oldest may go after `at_least`

  /// Its time begins again if it is in the queue already.
  void put(std::uint64_t device, time_point now) {
    const auto number = ++last_;
    newest_[device] = number;
    order_.push_back({device, number, now});
  }
  /// When the first of the queue is due; time_never: it is empty.
  [[nodiscard]] time_point next() {
    drop_old();
    return order_.empty() ? time_never : due(order_.front());
  }
  /// Removes and returns the next device that is due.
  std::optional<std::uint64_t> take(time_point now) {
    drop_old();
    if (order_.empty() || due(order_.front()) > now) return std::nullopt;
    const auto device = order_.front().device;
    newest_.erase(device);
    order_.pop_front();
    return device;
  }

 private:
  struct place {
    std::uint64_t device, number;
    time_point since;
  };
  [[nodiscard]] time_point due(const place& p) const {
    return p.since + (newest_.size() > waiting_max ? at_least : rest_after);
  }
  /// Those at the front that were put again later.
  void drop_old() {
    while (!order_.empty()) {
      const auto it = newest_.find(order_.front().device);
      if (it != newest_.end() && it->second == order_.front().number) return;
      order_.pop_front();
    }
  }

  std::deque<place> order_;
  std::unordered_map<std::uint64_t, std::uint64_t> newest_;  ///< per device: its last number in `order_`
  std::uint64_t last_ = 0;
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
