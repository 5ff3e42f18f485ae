#pragma once
// Decides which requests for keys are worked on now, wait, or are refused.
//
// A server that takes every request answers none in time once more come than it can do: all of them wait in one line,
// the gateways give up, and the work for their requests is wasted. So few jobs are in work at a time; the others wait in
// a line per gateway, from which they are taken in turn; and a request that would wait for too long is refused at once,
// before it is decoded. A gateway with a thousand requests does not delay a gateway with one.

#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/ids.hpp"
#include "server/return_calendar.hpp"

namespace cpns::server {

class admission;

/// One job in work; the destructor lets the next one in. [thread-safe] as far as one object is used by one thread.
class work_place {
 public:
  work_place() = default;
  explicit work_place(std::shared_ptr<admission> of) : of_(std::move(of)) {}
  work_place(work_place&&) noexcept = default;
  work_place& operator=(work_place&& other) noexcept {
    if (this != &other) {
      leave();
      of_ = std::move(other.of_);
    }
    return *this;
  }
  work_place(const work_place&) = delete;
  work_place& operator=(const work_place&) = delete;
  ~work_place() { leave(); }
  explicit operator bool() const { return of_ != nullptr; }

 private:
  void leave();
  std::shared_ptr<admission> of_;
};

/// [thread-safe]
class admission : public std::enable_shared_from_this<admission> {
 public:
  struct bounds {
    std::size_t in_work = 512;       ///< jobs; enough for whole groups of reads and writes
    milliseconds longest_wait{250};  ///< for the turn, as far as it can be foreseen
  };
  enum class verdict : std::uint8_t { work, wait, refuse };
  /// Gives a waiting request its turn, on any thread; must not block. If the place is destroyed, the next one gets it.
  /// Without a place: the request has waited for too long, and has its turn never.
  using turn_fn = std::function<void(std::uint64_t number, work_place)>;
  /// The requests of one connection wait under one of these.
  using turn_taker = std::shared_ptr<const turn_fn>;
  using clock_fn = std::function<steady::time_point()>;

  /// As for `bounds`; a rate is known once work has waited.
  struct view {
    std::size_t in_work = 0, waiting = 0, gateways_waiting = 0;
    milliseconds oldest{0};     ///< the longest wait of a request that waits now
    double per_second = 0;      ///< jobs that were done while others waited; 0: none has waited
    std::uint64_t returns = 0;  ///< refused requests whose time to come back is ahead
  };

  explicit admission(
      entropy& random, clock_fn now = [] { return steady::now(); })
      : now_(std::move(now)), returns_(random) {}

  /// A request of the gateway. work: `to` holds its place. wait: `taker` is called with its number later.
  verdict ask(const gateway_id& gw, const bounds& most, const turn_taker& taker, std::uint64_t number,
              work_place& to);
  /// A place for work that must not wait, because it ends work that was begun before.
  work_place enter();
  /// The retry_after of a refusal, in seconds.
  std::uint32_t retry_after();
  /// Ends the wait of requests that wait for longer than twice bounds::longest_wait: work stands still.
  void end_long_waits();
  /// The requests of a connection that ended wait no more.
  void forget(const gateway_id& gw, const turn_taker& taker);
  [[nodiscard]] view look() const;

  /// Jobs that may wait by the rate at which jobs are done; without one as many as may be in work.
  static std::size_t budget(double per_second, const bounds& most);

 private:
  friend class work_place;
  struct waiting_request {
    turn_taker taker;
    std::uint64_t number = 0;
    steady::time_point since;
  };
  struct line {
    gateway_id gw;
    std::deque<waiting_request> requests;
  };
  using lines = std::list<line>;

  /// One job is done.
  void leave();
  /// With guard_ held: the request whose turn it is.
  std::optional<waiting_request> next();
  /// With guard_ held.
  [[nodiscard]] bool may_wait(std::size_t own, const bounds& most) const;
  [[nodiscard]] std::size_t room(steady::time_point now, const bounds& most) const;
  [[nodiscard]] bool stands_still(steady::time_point now) const;
  [[nodiscard]] double rate(steady::time_point now) const;
  void count_done(steady::time_point now);
  void count_lately(steady::time_point now);
  void pause_count(steady::time_point now);

  const clock_fn now_;
  mutable std::mutex guard_;
  bounds most_;  ///< as last asked with
  std::size_t in_work_ = 0, waiting_ = 0;
  bool handing_out_ = false;  ///< a thread gives turns; others leave that to it
  lines lines_;               ///< of gateways with waiting requests; the first one has the next turn
  std::unordered_map<gateway_id, lines::iterator> by_gateway_;
  return_calendar returns_;

  // The rate at which jobs are done. It is measured while jobs wait, because otherwise it is the rate at which they come.
  double per_second_ = 0;
  steady::time_point counted_since_{};  ///< zero: none waits
  steady::duration counted_before_{};   ///< of this sample, until the line was empty
  std::uint64_t done_ = 0;              ///< in this sample
  steady::time_point moved_{};          ///< a job began or was done

  // Jobs that were done lately, whether or not others waited: the server can do at least as many.
  double lately_ = 0;  ///< per second
  steady::time_point lately_since_{};
  std::uint64_t done_lately_ = 0;  ///< since then
};

}  // namespace cpns::server
