#pragma once
// The reads of one session.

#include <iterator>
#include <span>
#include <utility>
#include <vector>

#include "storage/group_read.hpp"

namespace cpns::server {

/// A read and its message cost an actor as much for one request as for fifty. So one read runs at a time, and what is asked
/// for meanwhile is read by the next ones, many rows at once. `Then` says what follows a read. Not thread-safe.
template <class Then>
class read_queue {
 public:
  /// Of one read, so that other sessions do not wait for long.
  static constexpr std::size_t rows_at_once = 192;
  using rows = std::span<result<storage::sealed_value>>;

  /// A row for one job, and what follows.
  void add(storage::row_name name, Then then) {
    waiting_.push_back({1, std::move(then)});
    names_.push_back(std::move(name));
  }
  /// One more row for the last one that was added.
  void also(storage::row_name name) {
    ++waiting_.back().rows;
    names_.push_back(std::move(name));
  }
  /// The rows to read next; empty while a read runs, and if nothing waits.
  std::vector<storage::row_name> begin() {
    if (!running_.empty()) return {};
    std::size_t all = 0;
    auto end = waiting_.begin();
    for (; end != waiting_.end() && (all == 0 || all + end->rows <= rows_at_once); ++end) all += end->rows;
    running_ = take_first(waiting_, end - waiting_.begin());
    return take_first(names_, static_cast<std::ptrdiff_t>(all));
  }
  /// The running read brought its rows: calls `go_on(then, rows)` for each job, after `before`, which may begin the next read.
  template <class Before, class GoOn>
  void finish(storage::rows_found found, Before before, GoOn go_on) {
    auto done = std::exchange(running_, {});
    before();
    rows rest{found};
    for (auto& r : done) {
      go_on(std::move(r.then), rest.first(r.rows));
      rest = rest.subspan(r.rows);
    }
  }

 private:
  struct read {
    std::size_t rows = 0;
    Then then;
  };
  /// The first `n` elements.
  template <class T>
  static std::vector<T> take_first(std::vector<T>& from, std::ptrdiff_t n) {
    if (static_cast<std::size_t>(n) == from.size()) return std::exchange(from, {});
    const auto end = from.begin() + n;
    std::vector<T> out(std::make_move_iterator(from.begin()), std::make_move_iterator(end));
    from.erase(from.begin(), end);
    return out;
  }
  std::vector<storage::row_name> names_;  ///< of `waiting_`
  std::vector<read> waiting_, running_;
};

}  // namespace cpns::server
