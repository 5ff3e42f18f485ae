#pragma once
// What a gateway does about the server that it is connected to: it obeys Drain and Nodes, and it leaves a server that is
// silent. Both have to be decided between the requests of the devices, of which none may fail by that. Pure: the owner
// sends, waits and leaves.

#include <memory>
#include <optional>
#include <string>

#include "actors/pn_gw/node_list.hpp"
#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/entropy.hpp"
#include "base/result.hpp"
#include "protocol/messages.hpp"

namespace cpns::actors {

class node_follower {
 public:
  /// `silence`: of a server with a request in hand, after which another one is better.
  node_follower(std::shared_ptr<node_list> servers, milliseconds silence)
      : servers_(std::move(servers)), silence_(silence) {}

  /// A connection is up. `may_ask`: the server may send requests.
  void up(std::string server, bool may_ask);
  /// It is over.
  void down();

  /// A frame of the server that is a request: obeys it and returns the acknowledgement to send. nullopt: it is an answer.
  /// Errors of the codec: it was not obeyed.
  std::optional<result<bytes>> take(byte_view frame, time_point now, std::uint64_t incarnation,
                                    entropy& random);

  /// New requests wait for the next connection; as soon as all others are answered, the owner leaves.
  [[nodiscard]] bool leaving(time_point now) const { return leave_at_ && now >= *leave_at_; }
  [[nodiscard]] bool drains() const { return leave_at_.has_value(); }

  /// What a silence calls for. `unanswered_since`: since then a request is open and no frame has arrived; time_never: none
  /// is. `ask` comes once for each silence.
  enum class silence_t : std::uint8_t { nothing, ask, leave };
  silence_t judge(time_point now, time_point unanswered_since);
  /// When leaving() or judge() may give another answer; time_never: not by time alone.
  [[nodiscard]] time_point next_look(time_point now, time_point unanswered_since) const;
  [[nodiscard]] milliseconds silence() const { return silence_; }

  [[nodiscard]] const node_list& servers() const { return *servers_; }

 private:
  void obey(const protocol::drain_order& m, time_point now, entropy& random);
  void obey(const protocol::node_list& m, time_point now);

  const std::shared_ptr<node_list> servers_;
  const milliseconds silence_;
  std::string server_;
  bool may_ask_ = false;
  std::optional<time_point> leave_at_;
  time_point asked_for_ = time_never;  ///< the silence for which judge() said `ask`
};

}  // namespace cpns::actors
