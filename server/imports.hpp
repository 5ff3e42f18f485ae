#pragma once
// Imports of manufactured devices into the store of a server, while it runs or is stopped.

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "api/change_log.hpp"
#include "base/clock.hpp"
#include "base/entropy.hpp"
#include "base/private_file.hpp"
#include "base/seldom.hpp"
#include "server/change_turns.hpp"
#include "server/import_intake.hpp"
#include "server/import_lease.hpp"
#include "server/import_run.hpp"

namespace cpns::server {

inline constexpr std::size_t imports_open_max = 8;   ///< that are neither done nor refused
inline constexpr std::size_t imports_kept_max = 64;  ///< the oldest that ended is forgotten
inline constexpr seconds import_idle_max =
    std::chrono::hours(24 * 7);  ///< one that gets no bytes is cancelled

/// 1 to import_name_max letters, digits, '.', '_' and '-', neither "." nor "..".
bool is_import_name(const std::string& text);

/// How an import treats its rows.
struct import_options {
  bool partial = false;          ///< import the good rows although there are bad ones
  bool require_presence = true;  ///< of this batch
  bool replace = false;          ///< a device that is in the store gets the new key
  bool allow_constant = false;   ///< keys that were chosen, not drawn (is_constant_key)
  bool allow_repeats = false;    ///< one key for several devices of the list
  std::string batch{};           ///< for people: where the rows came from
};

/// An import at this moment, for people.
struct import_view {
  protocol::import_record record;       ///< without the bytes of the list
  bool working = false;                 ///< since finish(): it checks or imports its rows, or waits for that
  std::uint64_t checked = 0;            ///< rows of them
  std::optional<api::problem> problem;  ///< why it did not go on last; empty once it goes on
  [[nodiscard]] bool ended() const;
  /// For people: "receiving", "checking", "importing", "done" or "refused".
  [[nodiscard]] std::string_view state() const;
};

/// How imports work beside a running role.
struct import_parts {
  clock_fn now = now_wall;
  milliseconds tick =
      std::chrono::minutes{1};  ///< imports that were idle for import_idle_max are cancelled once per tick
  std::shared_ptr<change_turns> devices = change_turns::make();  ///< for all that write devices to the store
  durable_write write{};                                         ///< as of import_store
  std::string server{"a command"};                               ///< its name, for people at other servers
  import_lease::times lease{};                                   ///< of a store that is shared
};

/// A list with a million devices takes a minute, its client may break off in the middle, and the server may be killed,
/// while gateways wait for keys. So an import is an object in the store: it takes bytes by their offset and stages the
/// rows; finish() checks all of them, decides in one write whether they are imported, then writes the devices in small
/// parts with pauses, on one thread of low priority. After that decision a start of the server goes on. Without it, no
/// device is visible, and the import can be cancelled. Of several servers of one store one works on all imports, the others
/// show them: import_lease.hpp. A change at another one fails with state_conflict until the imports have ended, or until
/// the server that works on them is gone. [thread-safe]
class device_imports {
 public:
  /// Reads the imports in the store and goes on with those that were decided. `store` and `random` (thread-safe)
  /// outlive the object. `write`: as of import_store. Errors of the store.
  static result<std::unique_ptr<device_imports>> open(storage::sealed_store& store, const crypto::suite& s,
                                                      entropy& random, import_parts parts = {});
  /// As stop().
  ~device_imports();
  device_imports(const device_imports&) = delete;
  device_imports& operator=(const device_imports&) = delete;

  /// The place for the lines of decisions, which outlives its use; nullptr: they are not recorded. Before the first
  /// finish(): a decision needs its line.
  void record_in(api::change_log* log);

  /// `name`: 1 to import_name_max letters, digits, '.', '_' and '-'; empty: one is drawn. config_usage: another name;
  /// state_exists; state_exhausted: imports_open_max; errors of the store.
  result<import_view> create(std::string name, const import_options& options);
  /// state_unknown.
  [[nodiscard]] result<import_view> find(const std::string& name) const;
  /// By name, after `after`; with `state`, only those in this state.
  [[nodiscard]] std::vector<import_view> list(const std::string& after, std::size_t limit,
                                              const std::string& state = {}) const;

  /// Takes all bytes of `from`, the first of which has the number `offset` in the list; bytes that were taken before are
  /// skipped. All are durable on return, after an error of `from` also those before it. state_unknown; state_conflict:
  /// bytes are missing before `offset`, the import takes no bytes any more, or another request sends some; an error of
  /// the list, which refuses the import as a whole; errors of `from` and of the store.
  result<import_view> receive(const std::string& name, std::uint64_t offset, const byte_source& from);
  /// Begins the check of all rows; the rest follows by itself. Nothing happens if it was called before. `who`: for the
  /// line of the decision. state_unknown; state_conflict: a request still sends bytes, or there are not `bytes` of them.
  result<import_view> finish(const std::string& name, const api::change& who,
                             std::optional<std::uint64_t> bytes = {});
  /// The errors of rows by line, then the warnings; `from` is the number of the first one, counted from 0.
  [[nodiscard]] result<protocol::import_results> results(const std::string& name, std::uint64_t from,
                                                         std::size_t limit) const;
  /// Cancels the import, or forgets one that has ended. state_unknown; state_conflict: it is at work, or a request sends
  /// bytes; errors of the store.
  status forget(const std::string& name);

  /// Waits while the import is at work; for commands. state_unknown, state_stopping.
  result<import_view> wait(const std::string& name) const;
  /// Ends the work after the present write; it goes on at the next start.
  void stop();

 private:
  enum class use : std::uint8_t { free, receiving, working };
  struct entry {
    import_view view;
    use by = use::free;
    std::unique_ptr<import_intake>
        intake;  ///< of the user of the entry; nullptr: not read from the store yet
    api::change who{};
  };
  using entry_ptr = std::shared_ptr<entry>;

  device_imports(storage::sealed_store& store, const crypto::suite& s, entropy& random, import_parts parts);
  status load();
  status own();
  void follow_lease();
  void look_at_lease();
  [[nodiscard]] bool any_open() const;
  [[nodiscard]] bool any_decided() const;
  [[nodiscard]] std::vector<std::string> names_with(const std::string& added,
                                                    const std::string& removed) const;
  result<entry_ptr> claim(const std::string& name, use by);
  void give_back(entry& e);
  status forget_old();
  void forget_old_now();
  status erase(const std::string& name);
  void show(entry& e, const protocol::import_record& r);

  status ready_intake(entry& e);
  status receive_into(entry& e, std::uint64_t offset, const byte_source& from);
  status judged(entry& e, const status& done);
  status refuse_list(entry& e, const error& why);

  using outcome = tl::expected<void, api::problem>;
  void run();
  void work(entry& e);
  outcome decide(entry& e);
  outcome commit(entry& e, checked_import& found);
  status write_decision(entry& e, const storage::sealed_batch& batch, protocol::import_state wanted);
  status import_rows(entry& e, std::optional<import_verdicts> verdicts);
  [[nodiscard]] api::change_log* recorded_in() const;
  void record_end(api::change_log& to, api::change_log::number intent, entry& e, const status& done);
  result<protocol::import_record> read_again(entry& e, const error& why);
  void pause(milliseconds time);
  import_run make_run(entry& e);

  import_lease lease_;
  const milliseconds lease_tick_;
  const import_store store_;
  const crypto::suite& suite_;
  entropy& random_;
  const clock_fn now_;
  const milliseconds tick_;
  seldom not_forgotten_;  ///< used on the thread
  const std::shared_ptr<change_turns> devices_;

  mutable std::mutex guard_;  ///< of everything below, and of `view` and `by` of the entries
  mutable std::condition_variable changed_;
  std::map<std::string, entry_ptr> all_;
  std::vector<std::string> order_;  ///< of creation
  std::deque<entry_ptr> jobs_;
  api::change_log* log_ = nullptr;
  std::atomic<bool> stopping_ = false;
  std::mutex changing_;  ///< one change of the index at a time
  std::mutex owning_;    ///< one reading of all imports at a time
  seldom lease_unread_;  ///< used on the thread of the lease
  std::thread thread_, lease_thread_;
};

}  // namespace cpns::server
