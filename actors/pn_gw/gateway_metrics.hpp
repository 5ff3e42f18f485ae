#pragma once
// What the gateway's parts count while they work. docs/operations/monitoring.md has all metrics.

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/ordered_table.hpp"
#include "base/shared_text.hpp"
#include "metrics/registry.hpp"
#include "protocol/messages.hpp"
#include "protocol/pn_gw/device_record.hpp"
#include "protocol/pn_gw/gw_event.hpp"

namespace cpns::actors {

/// Of the server link. Handles; made by default they count nothing. [thread-safe]
class server_link_metrics {
 public:
  server_link_metrics() = default;
  explicit server_link_metrics(metrics::registry& in);

  void up() const;
  /// A connection, or an attempt to connect, ended.
  void down(bool planned) const;
  /// The server answered an assignment request.
  void answered(const decltype(protocol::link_answer::body)& body) const;
  metrics::counter unanswered;
  metrics::gauge enrolled;  ///< 1: the server accepted the password, and has not refused it since

 private:
  metrics::gauge connected_;
  metrics::counter connections_, planned_, faults_;
  std::array<metrics::counter, 15> outcomes_{};  ///< by link_status
};

/// Of the devices and radios. Handles; made by default they count nothing. [thread-safe]
class supervisor_metrics {
 public:
  supervisor_metrics() = default;
  explicit supervisor_metrics(metrics::registry& in);

  void happened(protocol::gw_event::kind_t kind) const;
  metrics::counter links_refused;    ///< limits.links was reached
  metrics::counter links_evicted;    ///< unverified, and another link needed the place
  metrics::counter devices_refused;  ///< limits.devices was reached

 private:
  std::array<metrics::counter, 32> events_{};
};

/// A PNE of the gateway, as far as it is counted.
struct pne_facts {
  std::string_view state;  ///< of the machine, or not_in_reach and the standings; a literal
  std::uint32_t unused_keys = 0;
  std::int64_t due = 0;  ///< Unix ms, when the key has to be replaced; 0: never, or without a key
  bool in_reach = false;
  friend bool operator==(const pne_facts&, const pne_facts&) = default;
};
/// `rekey`: instead of the interval of the server.
pne_facts facts_of(const protocol::device_record& r, std::string_view state, bool in_reach,
                   std::optional<seconds> rekey);

/// Of a stored device without an actor.
pne_facts facts_of(const protocol::device_summary& s, std::optional<seconds> rekey);

/// A scrape must not ask a hundred thousand actors, and a page of the list must not decrypt a hundred thousand rows. So each
/// actor tells its facts when they change, and those of stored PNEs without an actor stay. [thread-safe]
class pne_tally {
 public:
  /// `low_water`: as of the configuration.
  explicit pne_tally(std::uint32_t low_water) : low_water_(low_water) {}

  void put(const shared_text& entity, const pne_facts& facts);
  /// Many at once, with their Entity IDs, in any order: a tenth of the time of as many put().
  void put_all(std::vector<std::pair<shared_text, pne_facts>> pnes);
  /// The facts of a device without an actor.
  void put_stored(const protocol::device_record& r, std::optional<seconds> rekey);
  /// A device that rested is not in memory any more; its other facts stay.
  void out_of_memory(std::string_view entity);
  /// When its key has to be replaced, Unix ms; 0: never.
  void set_due(std::string_view entity, std::int64_t due);
  void erase(std::string_view entity);
  /// The name as it is here, so that other tables can share it; a new one if the PNE is unknown.
  [[nodiscard]] shared_text name_of(std::string_view entity) const;
  void set_low_water(std::uint32_t keys) { low_water_ = keys; }
  /// PNEs by state, keys, and updates that are due.
  void add_to(metrics::sheet& to, time_point now) const;
  /// The first `count` Entity IDs, in their order, that are greater than `after` and begin with `prefix`. Takes as long as
  /// `count` demands, whatever the number of PNEs.
  [[nodiscard]] std::vector<std::string> names(const std::string& prefix, const std::string& after,
                                               std::size_t count) const;

 private:
  /// pne_facts in fewer bytes, because a gateway may know a million PNEs.
  struct kept {
    std::int64_t due = 0;
    std::uint32_t unused_keys = 0;
    std::uint8_t state = 0;  ///< see state_number()
    bool in_reach = false;
  };
  static kept pack(const pne_facts& facts);

  std::atomic<std::uint32_t> low_water_;
  mutable std::mutex guard_;
  ordered_table<shared_text, kept, text_less> pnes_;
};

/// An update that is due and not done after this time, although the PNE is in reach, is late.
inline constexpr milliseconds update_grace = std::chrono::minutes{10};

}  // namespace cpns::actors
