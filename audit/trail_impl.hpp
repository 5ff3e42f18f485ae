#pragma once
// What a trail consists of, for the files that implement it. Its lock and its queue are in trail.cpp, and what the thread
// does that leads, without the lock, is in trail_write.cpp.

#include <atomic>
#include <boost/json.hpp>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

#include "audit/refusals.hpp"
#include "audit/trail.hpp"
#include "audit/trail_file.hpp"
#include "base/seldom.hpp"

namespace cpns::audit {

namespace trail_parts {

namespace json = boost::json;

inline constexpr std::string_view component = "audit";

/// A line that a caller waits for.
struct job {
  json::object fields;       ///< empty: only lines that are late are written
  bool in_file = false;      ///< it does not wait for the anchor
  std::uint64_t number = 0;  ///< of the line
  bool appended = false;     ///< it is in the file
  bool over = false;
  status result{};
};

/// The outcome of a change, which no caller waits for.
struct late_line {
  json::object fields;
  std::size_t reserved = 0;  ///< bytes of the open change that it closes
};

/// What an open change counts against open_bytes_max.
inline std::size_t reserved_for(std::string_view open) {
  return open_bytes({{}, {}, {{0, std::string(open)}}});
}

struct written {
  bool appended = false;  ///< all lines are in the file
  std::size_t lines = 0;
  status done{};
};

inline outcome never_begun() {
  return {verdict::not_done, "the intent could not be recorded in time, so the change was refused"};
}

}  // namespace trail_parts

struct trail::impl {
  using job = trail_parts::job;
  using late_line = trail_parts::late_line;
  using written = trail_parts::written;

  impl(std::filesystem::path path, std::unique_ptr<anchor> a, trail_options o)
      : options(std::move(o)), file(std::move(path)), with(std::move(a)),
        budget(options.refusals_per_peer, options.refusals) {}

  [[nodiscard]] bool off() const { return file.path().empty(); }
  result<unfinished> begin(const change& c, bool in_file, std::size_t& reserved);
  status finish(const unfinished& of, std::size_t reserved, bool in_file, const outcome& o);
  void refuse(const change& c, std::string_view reason);
  void write_counts(bool last);
  status submit(job& j);
  void resolve_open(const resolver& resolve);

  // By the thread that leads, without the mutex.
  status prepare();
  status prepare_file();
  void take_over(const file_end& end);
  status save_head();
  written write(const std::deque<late_line>& first, const std::vector<job*>& jobs, bool in_file);
  void take_jobs(std::vector<job*>& jobs, std::size_t room, bool in_file);
  void close_unacknowledged(const std::vector<open_change>& known);

  /// Waits until no other thread leads. `lock` holds the mutex.
  void lead_from_now(std::unique_lock<std::mutex>& lock) {
    changed.wait(lock, [this] { return !leading; });
    leading = true;
  }
  void lead_no_more() {
    leading = false;
    changed.notify_all();
  }
  void write_batch(std::unique_lock<std::mutex>& lock);
  void note(const status& done, std::size_t lines);
  void release(std::size_t reserved) {
    open_bytes -= reserved;
    --open;
  }

  const trail_options options;
  // Used by the thread that leads.
  trail_file file;
  std::unique_ptr<anchor> with;
  chain now;                              ///< up to the last line in the file
  std::atomic<bool> head_behind = false;  ///< the anchor does not have now.head yet
  std::size_t lines_behind = 0;  ///< since the head of the anchor; a start takes batch_lines_max of them in
  std::optional<boost::json::object> repair;  ///< a line about the file, before all others
  bool needs_line_end = false;                ///< before `repair`
  bool started = false;                       ///< open() has resolved the open changes

  mutable std::mutex guard;
  std::condition_variable changed;
  bool leading = false;
  std::deque<job*> queue;
  std::deque<late_line> late;
  std::size_t open_bytes = 0, open = 0;
  refusals budget;
  /// Counts a refusal whose line could not be written.
  void leave_out() {
    ++counted.left_out;
    ++unwritten;
  }
  std::uint64_t unwritten = 0;  ///< refusals whose line or count could not be written
  trail_statistics counted;
  trail_health health;
  seldom reported;
};

}  // namespace cpns::audit
