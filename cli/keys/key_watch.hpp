#pragma once
// Follows the application keys of a purpose at the key socket of a role, for as long as the program runs.
//
// The role may restart, freeze, refuse for a while, or be older than this program. So the watch connects again with growing
// pauses, keeps the keys that it knows meanwhile, treats a long silence as an end, and goes on without acknowledgements at
// a role that has none. The caller owns the loop: it polls the descriptors and calls turn(), so that signals and children
// have their turn in the same thread.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <poll.h>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/open_answer.hpp"
#include "base/clock.hpp"
#include "cli/keys/key_table.hpp"
#include "cli/server_access.hpp"

namespace cpns::cli::keys {

/// Pauses between attempts: 0.1 s, twice as long after each failure, at most `longest`.
class growing_pause {
 public:
  using instant = std::chrono::steady_clock::time_point;
  static constexpr milliseconds shortest{100}, longest{5000};
  explicit growing_pause(milliseconds at_most = longest) : at_most_(at_most) {}
  void reset() { pause_ = shortest; }
  /// The time of the next attempt after a failure at `now`.
  instant next(instant now) { return now + std::exchange(pause_, std::min(2 * pause_, at_most_)); }

 private:
  const milliseconds at_most_;
  milliseconds pause_ = shortest;
};

struct watch_settings {
  std::string socket, purpose;
  std::string only{};   ///< an Entity ID: the table keeps its keys alone
  bool acks = false;    ///< ask the role to wait for in_force() before it goes on
  bool patient = true;  ///< connect again; otherwise the first failure is the last one
};

/// Not thread-safe.
class key_watch {
 public:
  using instant = growing_pause::instant;
  using speaker = std::function<void(const std::string& sentence)>;
  using reader = std::function<void(const key_line&, std::string_view raw, const std::vector<key_change>&)>;
  /// A revision, and the connection whose number it is.
  struct point {
    std::uint64_t connection = 0, revision = 0;
  };

  /// `say` gets a sentence when the connection fails, once for each cause, and when it works again.
  key_watch(watch_settings s, speaker say);
  ~key_watch();
  key_watch(const key_watch&) = delete;
  key_watch& operator=(const key_watch&) = delete;

  /// Adds the descriptors that wake turn().
  void add_to(std::vector<pollfd>& polled) const;
  /// When turn() has work though no descriptor is ready.
  [[nodiscard]] instant due() const;
  /// Does what there is to do, without waiting. `take` gets each line after the table took it. Fails if the role refuses
  /// the purpose or its socket cannot be used, before it ever answered; later such a failure is said, and tried again.
  done_or<void> turn(const reader& take = {});

  [[nodiscard]] const key_table& table() const { return table_; }
  /// The newest revision that can be acknowledged.
  [[nodiscard]] point newest() const { return {connection_, revision_}; }
  /// All changes up to `p` are in force at the caller: tells the role, if it waits for that.
  void in_force(const point& p);

 private:
  status connect();
  done_or<void> read(const reader& take);
  status take_piece(std::string_view piece, const reader& take);
  status take_line(std::string_view text, const reader& take);
  void follow_place(const key_line& line);
  done_or<void> refused();
  done_or<void> lost(const error& why);
  void say_once(const std::string& sentence);
  void turn_acks(instant now);
  void send_ack();
  void end_ack(bool again);

  const watch_settings settings_;
  const speaker say_;
  key_table table_;
  std::optional<api::open_answer> answer_;
  std::string pending_;  ///< a line that is not complete, or the text of a refusal
  growing_pause pause_{
      milliseconds{1000}};  ///< no longer: a gateway that is back gives PNEs new keys at once
  instant next_attempt_{}, silent_at_{};
  std::string said_;  ///< the last sentence of a failure that lasts
  std::uint64_t connection_ = 0, revision_ = 0;
  /// What the table has, for the next connection.
  struct place {
    std::string run;  ///< empty: only a list of all devices makes the table whole
    std::uint64_t revision = 0;
  };
  place known_;
  bool asked_since_ = false, resumed_ = false;  ///< at this connection
  bool asked_acks_ = false;                     ///< at this connection
  bool no_acks_here_ = false;                   ///< the next attempt asks without them
  bool said_no_acks_ = false, ever_answered_ = false, first_line_ = true;

  std::string watch_id_;  ///< empty: the role takes no acknowledgements
  std::optional<api::open_answer> ack_;
  std::uint64_t ack_wanted_ = 0, ack_sent_ = 0, acked_ = 0;
  instant ack_at_{};
  growing_pause ack_pause_;
};

}  // namespace cpns::cli::keys
