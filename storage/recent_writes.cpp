#include "storage/recent_writes.hpp"

#include <algorithm>

namespace cpns::storage {

recent_writes::moment recent_writes::now() const {
  const std::lock_guard lock(mutex_);
  return finished();
}

recent_writes::moment recent_writes::finished() const {
  const auto first = std::min_element(in_write_.begin(), in_write_.end());
  return first == in_write_.end() ? last_ : *first - 1;
}

recent_writes::write::write(recent_writes& in, const row_hashes& rows) : in_(in) {
  const std::lock_guard lock(in_.mutex_);
  number_ = ++in_.last_;
  in_.in_write_.push_back(number_);
  for (const auto r : rows) in_.written_[r % groups] = number_;
}

recent_writes::write::~write() {
  const std::lock_guard lock(in_.mutex_);
  std::erase(in_.in_write_, number_);
}

bool recent_writes::unchanged_since(moment read, std::uint64_t row) const {
  const std::lock_guard lock(mutex_);
  return read != 0 && read >= opened_ && written_[row % groups] <= read;
}

void recent_writes::forget() {
  const std::lock_guard lock(mutex_);
  opened_ = ++last_;
}

}  // namespace cpns::storage
