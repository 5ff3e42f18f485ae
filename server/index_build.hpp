#pragma once
// Index rows for the rows of a store that an older server wrote: their lists would miss them.

#include <chrono>

#include "server/background_work.hpp"
#include "server/store_admin.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::server {

/// Writes the missing index rows in a thread, while the server works and writes those of its own changes. Ends when all
/// are there, and notes that in the store; a later start goes through the table again if it was interrupted. Several
/// servers may do it at once. While the store accepts no writes, it waits.
class index_build {
 public:
  /// Does nothing if the index rows are complete. `store` outlives it; `write` as for imports, so that a low priority
  /// delays nobody.
  index_build(const storage::sealed_store& store, durable_write write);
  index_build(const index_build&) = delete;
  index_build& operator=(const index_build&) = delete;

  /// Ends the thread soon; it may be called again.
  void stop() { work_.stop(); }
  /// Waits for the end of the thread, whether it is done or not.
  void wait() { work_.wait(); }

 private:
  void run();
  /// Of one table. False: stopped.
  bool go_through(storage::table t);
  /// One page after `after`, which is then its end. Errors of the store.
  status add_page(storage::table t, storage::page_end& after);
  void report(const char* text);

  const storage::sealed_store& store_;
  const durable_write write_;
  std::size_t looked_at_ = 0, unreadable_ = 0;
  std::chrono::steady_clock::time_point reported_ = std::chrono::steady_clock::now();
  background_work work_;
};

}  // namespace cpns::server
