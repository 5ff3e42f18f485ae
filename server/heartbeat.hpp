#pragma once
// The heartbeat of a node, and those of the others.
//
// Nodes share a database and nothing else. A node that was cut off from it, or that talks to a former primary, cannot see
// so by reading: a primary that lost its place answers reads from the past. It cannot acknowledge a write, however. So
// each node writes one row per second through the path of all its writes, and trusts what it reads only while these
// writes are acknowledged. The same rows tell the nodes of each other.

#include <atomic>
#include <boost/json/array.hpp>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "base/entropy.hpp"
#include "base/seldom.hpp"
#include "server/node_row.hpp"
#include "storage/group_commit.hpp"

namespace cpns::server {

struct heartbeat_times {
  milliseconds interval{1000};
  milliseconds fresh{3000};   ///< reads are trusted for so long after the begin of the last acknowledged beat
  milliseconds silent{3500};  ///< a node whose row does not change for so long counts as silent
  milliseconds apart{30'000};       ///< between two clocks
  milliseconds hidden{86'400'000};  ///< a node without a beat for so long is not shown any more
};

/// A node, as the rows show it.
struct seen_node {
  enum class life : std::uint8_t { alive, silent, stopped };
  node_row row;
  life is = life::alive;
  bool self = false;
  milliseconds age{0};  ///< since its row changed, at least
};
std::string_view name_of(seen_node::life l);

/// [thread-safe]
class heartbeat {
 public:
  using commit_fn = std::function<void(storage::sealed_batch, storage::commit_done)>;
  struct parts {
    storage::sealed_store* store = nullptr;  ///< shared; outlives the heartbeat
    commit_fn commit;
    clock_fn now;
    entropy* random = nullptr;           ///< used by begin() alone
    std::function<std::string()> key{};  ///< for node_row::key; called before each beat; empty: always ""
    heartbeat_times times{};
  };
  /// What changes from beat to beat.
  struct load {
    std::string address;
    std::uint64_t connections = 0, jobs = 0;
    node_state state = node_state::running;
  };

  /// Writes the first row of this process under the name of `own`; its start, beat and folder are set here. If another
  /// process may have this name, waits until its row did not change for times.silent. state_conflict: it lives; errors
  /// of the store.
  static result<std::unique_ptr<heartbeat>> begin(parts p, node_row own);
  /// As end().
  ~heartbeat();
  heartbeat(const heartbeat&) = delete;
  heartbeat& operator=(const heartbeat&) = delete;

  /// Beats from now on. `now` is called before each beat, and `changed` with the addresses of the running nodes, this one
  /// included, whenever they changed; both on the thread of the heartbeat.
  void run(std::function<load()> now, std::function<void(std::vector<std::string>)> changed);

  /// Ends the beats. Writes that the node stopped, if that succeeds within one second. parts::commit is not called
  /// afterwards.
  void end();

  /// node_row::start of this process.
  [[nodiscard]] const byte_array<16>& start() const { return own_.start; }
  /// Whether reads can be trusted.
  [[nodiscard]] bool fresh() const;
  /// Sentences; empty: ready.
  [[nodiscard]] std::vector<std::string> not_ready() const;
  /// By name.
  [[nodiscard]] std::vector<seen_node> nodes() const;
  /// The same for /v1/status.
  [[nodiscard]] boost::json::array view() const;
  /// Since the begin of the last acknowledged beat.
  [[nodiscard]] milliseconds age() const;

 private:
  using steady = std::chrono::steady_clock;
  struct shared;  ///< completions of writes may come after the heartbeat
  struct observed {
    std::uint64_t version = 0;
    steady::time_point changed;
    seen_node node;
  };
  heartbeat(parts p, node_row own, std::uint64_t version);
  void beat_and_look();
  void beat();
  /// After a beat without a clear outcome: the version from which the next one goes on.
  void find_own_row();
  void look();
  void see(std::map<std::string, observed>& to, const std::string& name, const storage::sealed_value& row);
  void compare_clocks();
  void compare_other_clocks(time_point database);
  void tell_addresses();
  /// Removes the data key as it was wrapped before, once each node could open the new one.
  void forget_key_before();

  const parts parts_;
  node_row own_;
  std::function<load()> load_;
  std::function<void(std::vector<std::string>)> changed_;
  std::vector<std::string> told_;
  std::string forgotten_for_;  ///< the data key before this one is removed
  seldom damaged_, apart_;
  const std::shared_ptr<shared> shared_;
  mutable std::mutex guard_;
  std::map<std::string, observed> seen_;
  std::string clock_fault_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace cpns::server
