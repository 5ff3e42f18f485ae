#pragma once
// The air of the loopback radio: one medium per network name and process. It links every scanning central to every
// endpoint, again after a pause if one side closed the link, and carries frames with the given loss, delay, reordering
// and duplication. One thread delivers. Where the host's time is simulated, delays use that time.

#include <atomic>
#include <compare>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "plugins/sdk/loop.hpp"
#include "plugins/sdk/transport.hpp"

namespace cpns::loopback {

/// How bad the air is. loss, duplicate and reorder are probabilities in per mille.
struct weather {
  std::uint64_t loss = 0, duplicate = 0, reorder = 0;
  std::uint64_t delay_ms = 0, jitter_ms = 0;
  std::uint64_t seed = 1;
  std::uint64_t retry_ms = 200;  ///< until a link that a side closed is made again, at first
};

/// The medium's interface to one instance of the plugin.
class station {
 public:
  virtual ~station() = default;
  virtual const sdk::host& out() const = 0;
  /// Maximum number of links at the same time.
  virtual std::size_t max_links() const = 0;
  /// The host's timers if its time is simulated; null if it is real.
  virtual sdk::loop* simulated() = 0;
  /// Unique in this process; never reused.
  const std::uint64_t number = next_number();

 protected:
  friend class medium;
  std::atomic<std::uint64_t> sent_{0}, lost_{0}, received_{0};  ///< frames

 private:
  static std::uint64_t next_number();
};

class medium {
 public:
  /// The medium of that name: created by the first instance, with its weather, and destroyed with the last.
  static std::shared_ptr<medium> join(const std::string& network, const weather& w);
  explicit medium(const weather& w);
  ~medium();

  void scan(station& central, bool on);
  cpns_status add_endpoint(station& peripheral, std::uint64_t endpoint);
  void remove_endpoint(station& peripheral, std::uint64_t endpoint);
  cpns_status send(station& from, std::uint64_t link, std::span<const std::uint8_t> frame);
  void disconnect(station& who, std::uint64_t link);
  /// Closes all links of an instance. When this returns, no callback of that instance runs or will run.
  void leave(station& who);

 private:
  using clock = std::chrono::steady_clock;
  using side_key = std::pair<station*, std::uint64_t>;  // station, link
  struct side_hash {
    std::size_t operator()(const side_key& k) const {
      // The station may have left.
      return std::hash<const void*>{}(k.first) * 31 + std::hash<std::uint64_t>{}(k.second);
    }
  };
  enum class what : std::uint8_t { up, down, frame, writable, relink };
  /// A possible link: a central that scans and a PNE that is presented.
  struct contact {
    station* central = nullptr;
    station* peripheral = nullptr;
    std::uint64_t endpoint = 0;
    auto operator<=>(const contact&) const = default;
  };
  struct event {
    clock::time_point at{};
    std::uint64_t order = 0;
    what kind = what::frame;
    station* to = nullptr;
    std::uint64_t link = 0, endpoint = 0;
    std::string text;
    std::vector<std::uint8_t> data;
    side_key sender{};
    contact of{};                  ///< of a relink
    std::shared_ptr<void> held{};  ///< holds simulated time until the event is delivered
    bool operator>(const event& o) const { return at != o.at ? at > o.at : order > o.order; }
  };
  struct side {
    station* who = nullptr;
    std::uint64_t link = 0;
    std::uint64_t endpoint = 0;
  };
  /// One direction of a link: its receiver, and the number of frames on the air.
  struct lane {
    contact of;
    side far;
    std::size_t on_air = 0;
    bool blocked = false;  ///< a send returned CPNS_WOULD_BLOCK
    bool used = false;     ///< a frame was sent
  };
  struct linked {
    side_key central;
    clock::time_point since;
  };
  void landed(const side_key& sender);

  /// No effect if the link exists. If either side has reached its max_links, the contact waits until a link ends.
  void connect(const contact& c);
  void connect_waiting();
  void forget_waiting(const station* who, const std::uint64_t* endpoint);
  void relink_later(const contact& c);
  void relink(const contact& c);
  void cut(const side& a, const side& b, const char* why);
  void post(event e, std::uint64_t after_ms = 0);
  void queue(event e, std::uint64_t after_ms);
  [[nodiscard]] const event* next_event() const;
  event take_event();
  bool happens(std::uint64_t per_mille) { return per_mille != 0 && dice_() % 1000 < per_mille; }
  void deliver(std::unique_lock<std::mutex>& lock);

  const weather weather_;
  std::mutex guard_;
  std::condition_variable wake_, idle_;
  std::mt19937_64 dice_, retry_dice_;
  std::set<station*> centrals_;
  std::map<std::pair<station*, std::uint64_t>, int> endpoints_;  ///< presented ones
  std::unordered_map<side_key, lane, side_hash> lanes_;          ///< by the sending end
  std::map<contact, linked> linked_;
  std::map<contact, unsigned> failures_;  ///< links in a row that a side closed soon
  std::set<contact> waiting_;
  std::map<station*, std::size_t> links_;  ///< number of links per station
  std::uint64_t last_link_ = 0;  ///< never reused, also if a station has the address of one that left
  std::deque<event> ready_;      ///< due when they were made, in order
  std::vector<event> delayed_;   ///< a heap, the earliest one first
  std::uint64_t order_ = 0;
  station* delivering_to_ = nullptr;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace cpns::loopback
