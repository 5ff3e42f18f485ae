#pragma once
// The links over which no tag has verified yet, and their turns.
//
// Anybody in range can open links, and each DREQ that is answered costs the gateway an actor, and the server a request. A
// crowd of PNEs that meet a gateway for the first time, all at once, would fill every queue behind the DREQ, and newcomers
// would take the places of PNEs that already wait for their keys. So a link waits until few exchanges are under way, and
// a link whose turn it is keeps its place. Who is next, and who is evicted, is drawn by chance: a queue would belong to those
// that come most often (docs/adr/0057).

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/entropy.hpp"
#include "protocol/constants.hpp"
#include "protocol/pn_gw/pn_gw_machine.hpp"

namespace cpns::actors {

/// Whether an exchange is under way that may prove the link of an answer.
constexpr bool may_prove_links(protocol::pn_gw_state s) {
  using enum protocol::pn_gw_state;
  return s == validating || s == requesting || s == publishing || s == delivering || s == updating ||
         s == recovering;
}

/// Each link waits for its turn, then is asked (DREQ), then answers and is judged. `spare` are links whose turn is over:
/// they were silent for too long, or their answer led to no key. Pure: time and randomness are arguments. Not thread-safe.
class unproven_links {
 public:
  /// Enough for a server that answers thousands of requests per second. A gateway with fewer places asks each link at once.
  static constexpr std::size_t turns_max = 1024;
  /// A silent link has its turn for at least this long; for longer while honest answers take longer, up to the answer
  /// timeout of a DREQ.
  static constexpr milliseconds silence_min{250};
  /// After its answer a link has its turn for at least this long; for longer while honest links take longer to be proven,
  /// up to `judged_within`.
  static constexpr seconds judged_min{1};
  static constexpr seconds judged_within{10};

  /// `most`: turns at the same time.
  explicit unproven_links(std::size_t most = turns_max) : most_(most) {}
  /// Of a DREQ.
  void set_answer_timeout(milliseconds t) { answer_timeout_ = t; }

  /// A new link waits for its turn.
  void add(protocol::gw_link link);
  /// A tag received over it verified.
  void proven(time_point now, protocol::gw_link link);
  /// It is gone.
  void remove(protocol::gw_link link);
  /// The link to ask now, drawn from those that wait; nullopt if none waits, or too many have their turn.
  std::optional<protocol::gw_link> next(time_point now, entropy& random);
  /// Its device answered.
  void answered(time_point now, protocol::gw_link link);
  /// The exchange that its answer began is over, and proved nothing.
  void judged(protocol::gw_link link);
  /// The link that is evicted for a newcomer: any that does not have its turn, otherwise any; nullopt if there is none.
  std::optional<protocol::gw_link> draw(time_point now, entropy& random);

  [[nodiscard]] std::size_t size() const { return all_.size(); }
  [[nodiscard]] std::size_t waiting() const { return lists_[0].size(); }
  /// When next() may succeed although nothing else happens; time_never if no link waits.
  [[nodiscard]] time_point next_turn() const;

 private:
  enum class place : std::uint8_t { waiting, spare, asked, judged };
  struct entry {
    place at = place::waiting;
    std::size_t index = 0;  ///< in its list
    time_point since{};     ///< asked, or answered
    bool has_answered = false;
    bool exchange = false;  ///< the one that its answer began is under way
  };
  struct hash {
    std::size_t operator()(const protocol::gw_link& l) const {
      return std::hash<std::uint64_t>{}(l.link * 31 + l.transport);
    }
  };
  using turns = std::deque<std::pair<time_point, protocol::gw_link>>;  ///< oldest first; some may be over

  void put(protocol::gw_link link, entry& e, place to);
  void take_out(const entry& e);
  void end_turns(time_point now);
  void end_turns(turns& of, place at, time_point begun_before);
  [[nodiscard]] std::vector<protocol::gw_link>& list_of(place p) {
    return lists_[static_cast<std::size_t>(p)];
  }
  [[nodiscard]] std::size_t with_turn() const { return lists_[2].size() + lists_[3].size(); }
  [[nodiscard]] milliseconds silence() const;
  [[nodiscard]] milliseconds judged_for() const;

  const std::size_t most_;
  milliseconds answer_timeout_ = protocol::answer_timeout_default;
  milliseconds usual_{0};         ///< a moving average of the time from a DREQ to its answer
  milliseconds usual_judged_{0};  ///< a moving average of the time from an answer to the proof
  std::unordered_map<protocol::gw_link, entry, hash> all_;
  std::vector<protocol::gw_link> lists_[4];  ///< by place
  turns asked_, judged_;
};

}  // namespace cpns::actors
