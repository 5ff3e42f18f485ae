#pragma once
// Combines all reads that arrive during a read into the next one, on a thread that may wait for the disk or a network.

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "storage/sealed_store.hpp"

namespace cpns::storage {

/// The rows in the order in which they were asked for; each has an error of its own.
using rows_found = std::vector<result<sealed_value>>;
/// Called once.
using read_done = std::function<void(rows_found)>;

struct read_limits {
  std::size_t queued_rows = 262'144;  ///< rows that may wait; a read beyond fails with state_overloaded
  /// A read takes whole requests up to this many rows, and at least one request.
  std::size_t rows_per_read = 256;
};

/// An actor must not wait for a read, and a database answers a hundred reads in one round trip as fast as one. Owns the
/// one thread that reads for actors. [thread-safe]
class group_reader {
 public:
  /// `from` must outlive the reader.
  explicit group_reader(const sealed_store& from, read_limits limits = {});
  /// Ends after the current read; reads that wait then fail with state_stopping. Must not run in a completion.
  ~group_reader();
  group_reader(const group_reader&) = delete;
  group_reader& operator=(const group_reader&) = delete;

  /// Reads rows by their plain names. `done` is called on the reader's thread, in the order of the calls, with rows that
  /// were read after the call; it must not block, and may submit. If the read is refused, it is called on the caller's
  /// thread with errors: state_overloaded, state_stopping.
  void submit(std::vector<row_name> names, read_done done);

 private:
  struct entry {
    std::vector<row_name> names;
    read_done done;
  };
  void run();
  /// Moves from `e` only if it is accepted.
  status queue(entry& e);
  /// The requests of the next read. Call with mutex_ held.
  std::vector<entry> take();
  void read(std::vector<entry>& group);

  const sealed_store& from_;
  const read_limits limits_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<entry> queue_;
  std::size_t queued_rows_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace cpns::storage
