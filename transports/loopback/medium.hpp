#pragma once
// The air of the loopback radio: one per network name and process. It connects every central that scans with
// every endpoint, and carries frames with the loss, delay, reordering and duplication that it was given. One
// thread delivers. Where the host's time is simulated, delays are of that time.

#include <atomic>
#include <compare>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "plugins/sdk/loop.hpp"
#include "plugins/sdk/transport.hpp"

namespace cpns::loopback {

/// How bad the air is. Probabilities in per mille.
struct weather {
  std::uint64_t loss = 0, duplicate = 0, reorder = 0;
  std::uint64_t delay_ms = 0, jitter_ms = 0;
  std::uint64_t seed = 1;
};

/// One instance of the plugin as the medium sees it.
class station {
 public:
  virtual ~station() = default;
  virtual const sdk::host& out() const = 0;
  /// Links that it has at most, at the same time.
  virtual std::size_t max_links() const = 0;
  /// The host's timers where its time is simulated; null where it is real.
  virtual sdk::loop* simulated() = 0;
  /// Tells stations of one process apart; never given twice.
  const std::uint64_t number = next_number();

 protected:
  friend class medium;
  std::atomic<std::uint64_t> sent_{0}, lost_{0}, received_{0};  ///< frames

 private:
  static std::uint64_t next_number();
};

class medium {
 public:
  /// The medium of that name; made with the first instance, ended with the last. The first one's weather
  /// counts.
  static std::shared_ptr<medium> join(const std::string& network, const weather& w);
  explicit medium(const weather& w);
  ~medium();

  void scan(station& central, bool on);
  cpns_status add_endpoint(station& peripheral, std::uint64_t endpoint);
  void remove_endpoint(station& peripheral, std::uint64_t endpoint);
  cpns_status send(station& from, std::uint64_t link, std::span<const std::uint8_t> frame);
  void disconnect(station& who, std::uint64_t link);
  /// Takes all links of an instance down. When it returned nothing calls that instance any more.
  void leave(station& who);

 private:
  using clock = std::chrono::steady_clock;
  using side_key = std::pair<station*, std::uint64_t>;  // who, link
  enum class what : std::uint8_t { up, down, frame, writable };
  struct event {
    clock::time_point at{};
    std::uint64_t order = 0;
    what kind = what::frame;
    station* to = nullptr;
    std::uint64_t link = 0, endpoint = 0;
    std::string text;
    std::vector<std::uint8_t> data;
    side_key sender{};
    std::shared_ptr<void> held{};  ///< simulated time, until this is over
    bool operator>(const event& o) const { return at != o.at ? at > o.at : order > o.order; }
  };
  struct side {
    station* who = nullptr;
    std::uint64_t link = 0;
    std::uint64_t endpoint = 0;
  };
  /// Who may have a link: a central that scans and a PNE that is presented.
  struct contact {
    station* central = nullptr;
    station* peripheral = nullptr;
    std::uint64_t endpoint = 0;
    auto operator<=>(const contact&) const = default;
  };
  /// One direction of a link: where frames go, and how many of them are on the air.
  struct lane {
    contact of;
    side far;
    std::size_t on_air = 0;
    bool blocked = false;  ///< the sender was told to wait
  };
  void landed(const side_key& sender);

  /// Nothing happens if there is a link already; without room on both sides it waits for a link that ends.
  void connect(const contact& c);
  void connect_waiting();
  void forget_waiting(const station* who, const std::uint64_t* endpoint);
  void cut(const side& a, const side& b, const char* why);
  void post(event e, std::uint64_t after_ms = 0);
  void queue(event e);
  bool happens(std::uint64_t per_mille) { return per_mille != 0 && dice_() % 1000 < per_mille; }
  void deliver(std::unique_lock<std::mutex>& lock);

  const weather weather_;
  std::mutex guard_;
  std::condition_variable wake_, idle_;
  std::mt19937_64 dice_;
  std::set<station*> centrals_;
  std::map<std::pair<station*, std::uint64_t>, int> endpoints_;  ///< presented ones
  std::map<side_key, lane> lanes_;                               ///< by the sending end
  std::set<contact> linked_, waiting_;
  std::map<const station*, std::size_t> links_;  ///< how many each has
  std::map<station*, std::uint64_t> next_link_;
  std::priority_queue<event, std::vector<event>, std::greater<>> events_;
  std::uint64_t order_ = 0;
  station* delivering_to_ = nullptr;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace cpns::loopback
