#pragma once
// The recent past of the PNEs of a gateway, for the person who asks why one of them has no key.

#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include <boost/json/object.hpp>

#include "actors/pn_gw/packed_events.hpp"
#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/shared_text.hpp"

namespace cpns::actors {

/// The log mixes the lines of all PNEs, leaves out those under its level, and may be on another machine. A history has
/// the last events of each PNE, also of one whose actor is not in memory. It costs nothing for a PNE without events
/// since the start, and its memory is bounded: over a bound, the PNE whose last event is the oldest loses its history.
/// Any peer in range can cause events under any Entity ID, so PNEs without keys of this gateway have a bound of their
/// own, and events of unverified peers cannot fill the whole ring of a PNE. [thread-safe]
class pne_history {
 public:
  static constexpr std::size_t events_max = packed_events::events_max;  ///< per PNE
  static constexpr std::size_t unproven_max = packed_events::unproven_max;
  static constexpr std::size_t why_max = packed_events::why_max;

  /// Bytes of memory, for all PNEs together.
  struct bounds {
    std::size_t keyed = 64U << 20;     ///< of PNEs for which the gateway holds or held keys
    std::size_t strangers = 2U << 20;  ///< of all others
  };

  using event = pne_event_line;
  struct past {
    std::vector<event> events;       ///< the oldest first
    std::optional<event> failure;    ///< the last one, also if it is not among `events` any more
    std::optional<time_point> seen;  ///< the last message over a link on which a tag verified
  };

  pne_history() = default;
  explicit pne_history(bounds most) : most_(most) {}

  /// Events of level debug are left out. `keyed`: the gateway holds or held keys for it. `seen`: the last message over a link
  /// on which a tag verified, kept only of a PNE that has events; time_zero: none.
  void add(const shared_text& entity, std::span<const event> events, bool keyed, time_point seen = time_zero);
  void forget(std::string_view entity);
  [[nodiscard]] past of(std::string_view entity) const;
  /// The memory of both kinds.
  [[nodiscard]] bounds held() const;

 private:
  struct entry {
    shared_text entity;
    packed_events events{};
    time_point seen = time_zero;  ///< time_zero: never
    std::uint32_t bytes = 0;
    bool keyed = false;
  };
  using order = std::list<entry>;  ///< the oldest last event first
  // The names are in the entries. The functions are noexcept, so that a set does not keep the hashes.
  struct name_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view entity) const noexcept {
      return std::hash<std::string_view>{}(entity);
    }
    std::size_t operator()(order::iterator e) const noexcept { return (*this)(e->entity.view()); }
  };
  struct same_name {
    using is_transparent = void;
    bool operator()(order::iterator a, order::iterator b) const noexcept { return a == b; }
    bool operator()(std::string_view a, order::iterator b) const noexcept { return a == b->entity.view(); }
    bool operator()(order::iterator a, std::string_view b) const noexcept { return b == a->entity.view(); }
  };

  order& list_of(bool keyed) { return keyed ? keyed_ : strangers_; }
  std::size_t& bytes_of(bool keyed) { return keyed ? held_.keyed : held_.strangers; }
  order::iterator entry_of(const shared_text& entity, bool keyed);
  void count_again(entry& e);
  void shrink(bool keyed);
  void erase(order::iterator at);

  const bounds most_{};
  mutable std::mutex guard_;
  order keyed_, strangers_;
  std::unordered_set<order::iterator, name_hash, same_name> by_entity_;
  bounds held_{0, 0};
};

/// Adds "events", "last_failure" and "last_contact" to the description of a PNE; the last two only where there was one.
void describe_past(boost::json::object& to, const pne_history::past& recent);

}  // namespace cpns::actors
