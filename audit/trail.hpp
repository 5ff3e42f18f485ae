#pragma once
// The audit trail of a role: who changed what, when, and how it ended.
//
// A trail that a thief can edit proves nothing, and one that is written after the change misses the change that
// crashed the role. So an intent is durable before its change, the outcome follows, each line carries a MAC over
// itself and the line before, and the store keeps the key and the last MAC: a changed line, a gap, a cut end and a
// chain under another key show (verify.hpp). The order of the durable steps of one line:
//   1. the line is in the file
//   2. the head in the anchor names it; only then the caller goes on
// A crash between them leaves genuine lines after the head, at most one batch, which the next start takes in.
//
//   CPNS_TRY(auto ticket, trail.begin({.who = peer, .action = "user-add", .object = name, .after = state}));
//   const auto done = add_user(store, record);           // never before begin() succeeded
//   trail.finish(std::move(ticket), outcome_of(done));   // logs by itself if the line must wait

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "audit/anchor.hpp"
#include "audit/entry.hpp"
#include "audit/verify.hpp"
#include "base/clock.hpp"
#include "base/entropy.hpp"
#include "base/result.hpp"

namespace cpns::audit {

class trail;

/// A change that was begun. Movable. If it is destroyed without finish(), its outcome is `unknown`. The trail must
/// outlive it.
class ticket {
 public:
  ticket() = default;
  ticket(ticket&& other) noexcept;
  ticket& operator=(ticket&& other) noexcept;
  ~ticket();
  /// Number of the intent's line; 0 if the trail is off.
  [[nodiscard]] std::uint64_t number() const { return of_.number; }

 private:
  friend class trail;
  trail* in_ = nullptr;
  unfinished of_;
  std::size_t reserved_ = 0;
  bool in_file_ = false;
};

struct trail_options {
  clock_fn clock = now_wall;
  std::uint32_t refusals_per_peer = 10;  ///< lines per minute; further refusals are counted
  std::uint32_t refusals = 60;           ///< of all peers together
};

struct trail_statistics {
  std::uint64_t lines = 0;     ///< written by this process
  std::uint64_t batches = 0;   ///< syncs of the file, each for one or more lines
  std::uint64_t failures = 0;  ///< batches that could not be written
  std::uint64_t refusals = 0;  ///< refused attempts
  std::uint64_t left_out = 0;  ///< of them, those without a line of their own
  std::size_t open = 0;        ///< changes without an outcome
  std::size_t late = 0;        ///< outcomes that wait for the disk
};

/// What a role that is stopped would find in the file of its trail at its next start: empty if nothing, or a clause
/// about the damage, which the start records. `c`: the chain in the store; nullopt: it is not known, and only an
/// incomplete line is seen. A file that does not exist has no damage. Reads only, takes no lock. Errors: those of the
/// file with which the role cannot start, as of trail::open. [thread-safe]
result<std::string> damage_before_start(const std::filesystem::path& path, const std::optional<chain>& c);

/// When a line counts as recorded.
enum class durable : std::uint8_t {
  anchored,  ///< the anchor names it, too
  /// It is in the file; the anchor follows within a second, or when the store takes writes again. For changes that need no
  /// store. Until then a person with the file can remove the line.
  in_file,
};

struct trail_health {
  bool writable = true;  ///< false: begin() failed last, and a change is refused until a line can be written
  std::string why;       ///< if not writable: the reason and the remedy
};

/// [thread-safe] Calls block until their line is durable; lines of callers that wait at the same time share one sync.
/// No thread of its own.
class trail {
 public:
  /// Opens the trail in `file`, which is created with mode 0600 in a folder that exists; an empty path: the trail is
  /// off, begin() succeeds and nothing is written. Closes each change without an outcome with that of `resolve`, and
  /// records an incomplete line or missing lines that it finds. Writes nothing if there is nothing to record.
  /// A disk that takes no lines now is not an error: the lines wait, and begin() fails until then. Errors: config_file
  /// and store_locked (the file), errors of the anchor. `random` is used during the call only.
  static result<std::unique_ptr<trail>> open(std::filesystem::path file, std::unique_ptr<anchor> with,
                                             entropy& random, const resolver& resolve,
                                             trail_options options = {});
  /// Writes outcomes that wait and counts of refusals, if the disk takes them. No ticket may be left.
  ~trail();
  trail(const trail&) = delete;
  trail& operator=(const trail&) = delete;

  /// Writes the intent, durable on return. After an error the change must not happen. store_full, store_write_failed
  /// and other errors of the file or the anchor: the line cannot be recorded; state_overloaded: too many changes are
  /// open or wait.
  result<ticket> begin(const change& c, durable where = durable::anchored);
  /// Writes the outcome of a change, durable on return. After an error the line waits in memory, is written before
  /// the next line, and the log says so; the change itself is as it is.
  status finish(ticket t, const outcome& o);
  /// Records an attempt that was refused before it began, such as one without rights. At most
  /// trail_options::refusals lines per minute; the others are counted per peer and written as a number.
  void refused(const change& c, std::string_view reason);

  /// Writes outcomes that wait and counts of finished minutes. Call it about once per second.
  void tick();
  /// Opens the file again under its name, after a rotation; the chain goes on. Not needed for correctness: each batch
  /// checks the name. Errors of open().
  status reopen();

  /// Checks the file and older files of the trail, in any order, up to the last line that was durable when the call
  /// began. Reads all of them; lines are written meanwhile. Errors: a file cannot be read;
  /// state_overloaded after `until`.
  result<verify_report> check(const std::vector<std::filesystem::path>& older, check_until until = {}) const;

  [[nodiscard]] const std::filesystem::path& file() const;  ///< empty: the trail is off
  [[nodiscard]] trail_statistics statistics() const;
  [[nodiscard]] trail_health health() const;

 private:
  friend class ticket;
  struct impl;
  explicit trail(std::unique_ptr<impl> i);
  void abandon(ticket& t) noexcept;
  std::unique_ptr<impl> impl_;
};

/// The outcome of a change whose function returned this: done, refused (state_exists, state_unknown, ...), unknown
/// (may_be_done), or failed.
outcome outcome_of(const status& done);
template <class T>
outcome outcome_of(const result<T>& done) {
  return outcome_of(done ? status{} : status{tl::unexpect, done.error()});
}

}  // namespace cpns::audit
