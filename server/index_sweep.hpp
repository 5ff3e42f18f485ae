#pragma once
// Drops index rows that are out of date although nobody lists them.

#include <vector>

#include "base/entropy.hpp"
#include "metrics/registry.hpp"
#include "server/background_work.hpp"
#include "server/store_admin.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::server {

struct sweep_times {
  milliseconds first = std::chrono::minutes(5);  ///< from the start to the first sweep, and up to twice that
  milliseconds every = std::chrono::hours(24);   ///< from the end of one to the next, a tenth more or less
};

/// When a device changes its gateway, the index row of the former holder stays, and a list drops it only when it meets it.
/// A gateway that nobody lists keeps its rows for ever, so the table grows with every move. The sweep compares each index
/// row with its record, page by page, and drops a stale one as a list does: by a batch that fails if the record or the
/// index row changed meanwhile. Several servers may sweep one database at once. While the store accepts no writes, it
/// waits.
class index_sweep {
 public:
  struct parts {
    const storage::sealed_store* store = nullptr;  ///< outlives the sweep
    durable_write write;                           ///< as for imports, so that a low priority delays nobody
    entropy* random = nullptr;                     ///< thread-safe; outlives the sweep
    metrics::counter swept{};                      ///< index rows
  };
  explicit index_sweep(parts p, sweep_times times = {});
  index_sweep(const index_sweep&) = delete;
  index_sweep& operator=(const index_sweep&) = delete;

  /// Ends the sweep soon; it may be called again. The destructor does the same, and waits for the end.
  void stop() { work_.stop(); }

 private:
  void run();
  /// The whole table. False: stopped.
  bool sweep();
  /// One page after `after`, which is then its end. Errors of the store.
  status sweep_page(storage::page_end& after);
  /// Of entries of a page; those that a writer changed meanwhile stay.
  status drop(const std::vector<storage::index_entry>& stale);

  const parts parts_;
  const sweep_times times_;
  std::size_t looked_at_ = 0, dropped_ = 0;  ///< by this sweep
  background_work work_;
};

}  // namespace cpns::server
