#pragma once
// Who may have one of the few links of an adapter: a table of the peers that were heard, and no I/O. Times
// come in from outside.
//
// A peer waits from when it was heard without a link. Of those who wait, one that just woke goes first, then
// one that was not served lately, then the one that waited longest. While somebody waits who was not served
// lately, a link that was quiet for `idle` is given up, and any link after ten times that; its peer then
// rests: it stands behind the others, but takes what nobody else wants.

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

  /// An advertisement of `peer`. True if the host should hear of it now: it has no link, and was not told
  /// of it a moment ago.
  bool heard(time now, const std::string& peer, std::uint16_t tag);
  /// The host wants a link to it. False if it was not heard.
  bool want(const std::string& peer);
  /// It wants it no more. False if it did not, or an attempt has begun.
  bool unwant(const std::string& peer);
  /// Whom to connect to now: a slot is free, nobody else is being connected to, and it was heard lately. It
  /// is being connected to from here on, until up() or ended().
  std::optional<std::string> next(time now);
  void up(time now, const std::string& peer);
  void traffic(time now, const std::string& peer);
  /// The link or the attempt is over, and its slot not free yet. `in_vain`: it was of no use, so the next
  /// attempt waits; twice as long each time.
  void ended(time now, const std::string& peer, bool in_vain);
  /// The radio is done with it.
  void freed(time now, const std::string& peer);
  /// Whose link has to go because others wait. It counts as ended() by that.
  std::optional<std::string> give_up(time now);
  /// All are forgotten: the radio went off.
  void clear() { peers_.clear(); }
  /// When to ask next() and give_up() again at the latest, if nothing happens before.
  [[nodiscard]] std::optional<time> next_deadline(time now) const;
  [[nodiscard]] std::size_t used() const;

 private:
  enum class state : std::uint8_t { unlinked, connecting, up, ending };
  struct peer {
    state at = state::unlinked;
    bool wanted = false, woke = false;
    std::uint16_t tag = 0;
    unsigned vain = 0;
    time seen, told, waiting_since, not_before, rests_until, up_since, busy, woke_at;
  };
  void forget_old(time now);
  [[nodiscard]] bool waits(const peer& p, time now) const;
  [[nodiscard]] bool presses(time now) const;
  [[nodiscard]] time may_end(const peer& p) const;

  std::size_t links_;
  span idle_, rest_;
  std::map<std::string, peer> peers_;
};

}  // namespace cpns::ble
