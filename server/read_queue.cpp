#include "server/read_queue.hpp"

#include <iterator>
#include <utility>

namespace cpns::server {
namespace {

/// The first `n` elements.
template <class T>
std::vector<T> take_first(std::vector<T>& from, std::ptrdiff_t n) {
  const auto end = from.begin() + n;
  std::vector<T> out(std::make_move_iterator(from.begin()), std::make_move_iterator(end));
  from.erase(from.begin(), end);
  return out;
}

}  // namespace

void read_queue::add(std::vector<storage::row_name> names, then_fn then) {
  waiting_.push_back({names.size(), std::move(then)});
  std::move(names.begin(), names.end(), std::back_inserter(names_));
}

std::vector<storage::row_name> read_queue::begin() {
  if (!running_.empty()) return {};
  std::size_t rows = 0;
  auto end = waiting_.begin();
  for (; end != waiting_.end() && (rows == 0 || rows + end->rows <= rows_at_once); ++end) rows += end->rows;
  running_ = take_first(waiting_, end - waiting_.begin());
  return take_first(names_, static_cast<std::ptrdiff_t>(rows));
}

void read_queue::finish(storage::rows_found rows, const std::function<void()>& before) {
  const auto done = std::exchange(running_, {});
  before();
  auto next = rows.begin();
  for (const auto& r : done) {
    const auto end = next + static_cast<std::ptrdiff_t>(r.rows);
    r.then(storage::rows_found(std::make_move_iterator(next), std::make_move_iterator(end)));
    next = end;
  }
}

}  // namespace cpns::server
