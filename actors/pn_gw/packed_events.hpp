#pragma once
// The events of one PNE in few bytes.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/shared_text.hpp"
#include "protocol/pn_gw/gw_event.hpp"

namespace cpns::actors {

/// `kind` nullopt: the record of the PNE could not be written.
struct pne_event_line {
  time_point at;  ///< by the wall clock
  std::optional<protocol::gw_event::kind_t> kind;
  std::uint64_t epoch = 0;  ///< epoch::value(), 0: none
  std::string why;          ///< in place of the sentence of the kind
  bool unproven = false;
};

/// What the log says about the kind of `e`.
log::event_line line_of(const pne_event_line& e);

/// A gateway keeps the events of a hundred thousand PNEs, most of which have no text: one buffer has them all. An event takes
/// 3 to 6 bytes soon after the one before it, 7 an hour after it, and the first one more; and its text. Also has the last
/// failure, if it is not among them any more. Not thread-safe.
class packed_events {
 public:
  static constexpr std::size_t events_max = 32;    ///< the oldest one is dropped for another one
  static constexpr std::size_t unproven_max = 24;  ///< of these, caused by unverified peers
  static constexpr std::size_t why_max = 200;      ///< bytes of an event's own sentence; a longer one is cut

  void add(const pne_event_line& e);
  /// The oldest first.
  [[nodiscard]] std::vector<pne_event_line> all() const;
  /// The last one, also if it is not in all().
  [[nodiscard]] std::optional<pne_event_line> failure() const;
  /// Bytes of memory beside the object itself.
  [[nodiscard]] std::size_t bytes() const;

 private:
  shared_text packed_;  ///< first the dropped failure, if there is one, then the events
};

}  // namespace cpns::actors
