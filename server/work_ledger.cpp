#include "server/work_ledger.hpp"

namespace cpns::server {

work_permit& work_permit::operator=(work_permit&& other) noexcept {
  if (this == &other) return *this;
  give_back();
  book_ = std::move(other.book_);
  gw_ = other.gw_;
  jobs_ = std::exchange(other.jobs_, 0);
  return *this;
}

work_permit work_permit::one() {
  if (jobs_ == 0) return {};
  --jobs_;
  return {book_, gw_, 1};
}

void work_permit::give_back() {
  if (const auto n = std::exchange(jobs_, 0); n != 0) book_->give_back(gw_, n);
  book_.reset();
}

work_ledger::verdict work_ledger::take(const gateway_id& gw, std::size_t jobs, const bounds& most,
                                       work_permit& to) {
  {
    std::lock_guard lock{guard_};
    const auto own = by_gateway_.find(gw);
    if ((own == by_gateway_.end() ? 0 : own->second) + jobs > most.per_gateway) return verdict::gateway_full;
    if (total_ + jobs > most.total) return verdict::server_full;
    total_ += jobs;
    by_gateway_[gw] += jobs;
  }
  to = work_permit{shared_from_this(), gw, jobs};
  return verdict::taken;
}

std::size_t work_ledger::total() const {
  std::lock_guard lock{guard_};
  return total_;
}

std::size_t work_ledger::of(const gateway_id& gw) const {
  std::lock_guard lock{guard_};
  const auto own = by_gateway_.find(gw);
  return own == by_gateway_.end() ? 0 : own->second;
}

void work_ledger::give_back(const gateway_id& gw, std::size_t jobs) {
  std::lock_guard lock{guard_};
  total_ -= jobs;
  const auto own = by_gateway_.find(gw);
  if (own == by_gateway_.end()) return;
  own->second -= jobs;
  if (own->second == 0) by_gateway_.erase(own);
}

}  // namespace cpns::server
