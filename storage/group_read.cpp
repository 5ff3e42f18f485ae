#include "storage/group_read.hpp"

#include <algorithm>
#include <iterator>

namespace cpns::storage {

namespace {

rows_found all_failed(std::size_t rows, const error& why) { return rows_found(rows, fail(why)); }

}  // namespace

group_reader::group_reader(const sealed_store& from, read_limits limits)
    : from_(from), limits_(limits), thread_([this] { run(); }) {}

group_reader::~group_reader() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
  for (auto& e : queue_)
    e.done(
        all_failed(e.names.size(), {errc::state_stopping, "the store is closing and answers no more reads"}));
}

void group_reader::submit(std::vector<row_name> names, read_done done) {
  entry e{std::move(names), std::move(done)};
  if (const auto accepted = queue(e); !accepted)
    e.done(all_failed(e.names.size(), accepted.error()));
  else
    wake_.notify_one();
}

status group_reader::queue(entry& e) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return fail(errc::state_stopping, "the store is closing and answers no more reads");
  if (e.names.size() > limits_.queued_rows - queued_rows_)
    return fail(errc::state_overloaded, std::to_string(queued_rows_) +
                                            " rows wait to be read, the limit is " +
                                            std::to_string(limits_.queued_rows));
  queued_rows_ += e.names.size();
  queue_.push_back(std::move(e));
  return {};
}

void group_reader::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    auto group = take();
    lock.unlock();
    read(group);
    // Completions hold their captures: free them before the next wait.
    group.clear();
    lock.lock();
  }
}

std::vector<group_reader::entry> group_reader::take() {
  std::vector<entry> group;
  std::size_t rows = 0;
  while (!queue_.empty()) {
    const auto size = queue_.front().names.size();
    if (!group.empty() && rows + size > limits_.rows_per_read) break;
    rows += size;
    group.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  queued_rows_ -= rows;
  return group;
}

void group_reader::read(std::vector<entry>& group) {
  std::vector<row_name> all;
  for (auto& e : group) std::move(e.names.begin(), e.names.end(), std::back_inserter(all));
  auto found = from_.read(all);
  auto next = found.begin();
  for (auto& e : group) {
    const auto end = next + static_cast<std::ptrdiff_t>(e.names.size());
    e.done(rows_found(std::make_move_iterator(next), std::make_move_iterator(end)));
    next = end;
  }
}

}  // namespace cpns::storage
