#pragma once
// Which server of a shared store works on its imports. Private to server/.

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/entropy.hpp"
#include "server/store_admin.hpp"

namespace cpns::server {

/// Each server goes on with the imports that it finds in the store: of two, each would write the devices of an import, and
/// each would show what it has in memory. So one of them holds the lease, a row of `meta`, and the others only read. Each
/// write of an import names the version of this row and raises it, so a server that was stopped and wakes after its lease
/// writes nothing. The others see by the version that the holder lives: no clock is compared. A store that is not shared
/// has no lease, and it counts as held. [thread-safe]
class import_lease {
 public:
  using steady_fn = std::function<std::chrono::steady_clock::time_point()>;
  struct times {
    milliseconds renew = seconds{5};  ///< after the last write
    milliseconds lapse =
        seconds{15};  ///< another server may take it when the holder did not write for so long
  };

  /// `store` outlives it. `write`: of batches, durable on return. `server`: its name for people.
  import_lease(const storage::sealed_store& store, durable_write write, entropy& random, std::string server,
               times t, steady_fn now = std::chrono::steady_clock::now);

  [[nodiscard]] bool held() const { return held_; }
  /// Takes it. state_conflict: another server has it, or was faster; errors of the store.
  status take();
  /// Whether take() may succeed, by what look() saw.
  [[nodiscard]] bool available() const;
  /// Renews it if it is held and it is time; else looks at that of another server. True: the imports of another server
  /// may have changed since. Errors of the store.
  result<bool> look();
  /// Gives it back, so that others need not wait.
  void release();

  /// Writes a batch of the holder. state_conflict: another server has the lease, and nothing was written. store_conflict:
  /// an op of the batch lost a race. store_write_failed: an earlier write that was reported as failed turned up; read the
  /// import again. Errors of the store.
  status write(storage::sealed_batch batch);

 private:
  struct holder {
    bytes id;            ///< of its process; empty: nobody
    std::string server;  ///< its name
  };
  [[nodiscard]] static secret_bytes encode(const holder& h);
  [[nodiscard]] static result<holder> decode(const storage::sealed_value& row);
  // With guard_ held.
  result<bool> observe();
  status write_as(const holder& h, storage::sealed_batch batch);
  [[nodiscard]] bool may_take() const;
  [[nodiscard]] tl::unexpected<error> elsewhere() const;

  const storage::sealed_store& store_;
  const durable_write write_;
  const holder me_;
  const times times_;
  const steady_fn now_;
  mutable std::mutex guard_;  ///< held during writes of imports: each names the version after the one before
  std::atomic<bool> held_;
  std::uint64_t version_ = 0;                        ///< of the row, when it was last read or written
  holder seen_;                                      ///< in this version
  std::chrono::steady_clock::time_point changed_{};  ///< when this version was first seen
};

}  // namespace cpns::server
