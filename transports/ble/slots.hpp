#pragma once
// Shares the few links of an adapter among many peers. A table without I/O; the caller passes the time.
//
// A peer waits from its first advertisement without a link. Among waiting peers, the first is one that just woke
// up, then one that does not rest, then the one that waited longest. While a peer waits that does not rest, a link
// that was idle for `idle` is closed, and any link after ten times that. The peer of a link closed so rests for
// `rest`: it gets a slot only if no other peer wants it.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace cpns::ble {

class slots {
 public:
  using time = std::chrono::steady_clock::time_point;
  using span = std::chrono::milliseconds;

  slots(std::size_t links, span idle, span rest) : links_(links), idle_(idle), rest_(rest) {}

  /// An advertisement of `peer` arrived. True if it should be reported to the host now: it has no link, and was
  /// not reported within the last second.
  bool heard(time now, const std::string& peer, std::uint16_t tag);
  /// The host requests a link to it. False if no advertisement of it was received.
  bool want(const std::string& peer);
  /// The host cancels its request. False if there is none, or the attempt has begun.
  bool unwant(const std::string& peer);
  /// The peer to connect to now, if a slot is free, no other attempt is pending, and its last advertisement is
  /// recent. It counts as connecting until up() or ended().
  std::optional<std::string> next(time now);
  void up(time now, const std::string& peer);
  void traffic(time now, const std::string& peer);
  /// The link or the attempt has ended, but its slot is not free yet. `failed`: the next attempt waits, twice as
  /// long each time.
  void ended(time now, const std::string& peer, bool failed);
  /// Its slot is free: the radio has removed the connection.
  void freed(time now, const std::string& peer);
  /// The peer whose link must be closed because others wait; it then counts as ended().
  std::optional<std::string> give_up(time now);
  /// Forgets all peers, when the radio closes.
  void clear() { peers_.clear(); }
  /// When to call next() and give_up() again at the latest, if nothing happens before.
  [[nodiscard]] std::optional<time> next_deadline(time now) const;
  [[nodiscard]] std::size_t used() const;

 private:
  enum class state : std::uint8_t { unlinked, connecting, up, ending };
  struct peer {
    state at = state::unlinked;
    bool wanted = false, woke = false;
    std::uint16_t tag = 0;
    unsigned failures = 0;
    time seen, reported, waiting_since, not_before, rests_until, up_since, busy, woke_at;
  };
  void forget_old(time now);
  [[nodiscard]] bool waits(const peer& p, time now) const;
  /// Whether all slots are used and a peer that does not rest waits.
  [[nodiscard]] bool is_contended(time now) const;
  [[nodiscard]] time may_end(const peer& p) const;

  std::size_t links_;
  span idle_, rest_;
  std::map<std::string, peer> peers_;
};

}  // namespace cpns::ble
