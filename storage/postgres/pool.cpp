#include "storage/postgres/pool.hpp"

#include <algorithm>
#include <numeric>

#include "crypto/suite.hpp"

namespace cpns::storage::postgres {

dialer::dialer(const postgres_settings& s) : settings_(s), order_(s.hosts.size()) {
  std::iota(order_.begin(), order_.end(), std::size_t{0});
  for (auto i = order_.size(); i > 1; --i)
    std::swap(order_[i - 1], order_[crypto::system_entropy().below(i)]);
}

std::size_t dialer::place_of(std::size_t attempt) const {
  const std::lock_guard lock(mutex_);
  return (first_ + attempt) % order_.size();
}

outcome<std::unique_ptr<connection>> dialer::dial() {
  outcome<std::unique_ptr<connection>> last =
      fail(failure{trouble::unreachable, errc::store_unavailable, ""});
  const auto first = place_of(0);
  for (std::size_t i = 0; i < order_.size(); ++i) {
    const auto place = (first + i) % order_.size();
    last = connection::dial(settings_, order_[place]);
    if (last) {
      const std::lock_guard lock(mutex_);
      if (first_ == first || first_ == place) {
        first_ = place;
        works_ = true;
      }
    }
    if (last || last.error().kind != trouble::unreachable) return last;
  }
  return last;
}

void dialer::suspect(std::size_t host) {
  const std::lock_guard lock(mutex_);
  ++suspicions_;
  if (order_[first_] != host) return;
  first_ = (first_ + 1) % order_.size();
  works_ = false;
}

std::optional<std::size_t> dialer::in_use() const {
  const std::lock_guard lock(mutex_);
  if (!works_) return std::nullopt;
  return order_[first_];
}

std::uint64_t dialer::suspicions() const {
  const std::lock_guard lock(mutex_);
  return suspicions_;
}

connection_pool::lease::~lease() {
  if (from_ != nullptr) from_->put_back(std::move(held_), since_);
}

void connection_pool::lease::give_up() {
  from_->dialer_.suspect(held_->host());
  since_ = 0;
}

outcome<connection_pool::lease> connection_pool::take(steady::time_point until) {
  const auto since = dialer_.suspicions();
  {
    std::unique_lock lock(mutex_);
    if (!returned_.wait_until(lock, until, [this] { return in_use_ < limit_; }))
      return fail(failure{trouble::unreachable, errc::store_unavailable,
                          "all connections to the database are in use"});
    std::erase_if(idle_, [since](const idle& i) { return i.since != since; });
    ++in_use_;
    if (!idle_.empty()) {
      lease out(*this, std::move(idle_.back().held), since);
      idle_.pop_back();
      return out;
    }
  }
  auto fresh = dialer_.dial();
  if (!fresh) {
    put_back(nullptr, 0);
    return fail(std::move(fresh).error());
  }
  return lease(*this, std::move(*fresh), since);
}

void connection_pool::put_back(std::unique_ptr<connection> held, std::uint64_t since) {
  const bool usable = held && held->open() && since == dialer_.suspicions();
  {
    const std::lock_guard lock(mutex_);
    --in_use_;
    if (usable) idle_.push_back({std::move(held), since});
  }
  returned_.notify_one();
}

}  // namespace cpns::storage::postgres
