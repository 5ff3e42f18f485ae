#include "actors/application_keys/key_changes.hpp"

#include <algorithm>
#include <utility>

namespace cpns::actors {

void key_changes::changed(const entity_id& device) {
  {
    const std::lock_guard lock{guard_};
    ring_.push_back(device);
    ++newest_;
    if (ring_.size() > kept_max) ring_.pop_front();
  }
  const std::lock_guard lock{listeners_->guard};
  for (const auto& [number, wake] : listeners_->all) wake();
}

std::uint64_t key_changes::newest() const {
  const std::lock_guard lock{guard_};
  return newest_;
}

key_changes::batch key_changes::after(std::uint64_t place, std::size_t most) const {
  const std::lock_guard lock{guard_};
  batch out;
  out.last = place;
  const auto before_ring = newest_ - ring_.size();
  out.lost = place < before_ring;
  if (out.lost) return out;
  const auto count = std::min<std::uint64_t>(newest_ - place, most);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto& device = ring_[static_cast<std::size_t>(place - before_ring + i)];
    if (std::find(out.devices.begin(), out.devices.end(), device) == out.devices.end())
      out.devices.push_back(device);
  }
  out.last = place + count;
  return out;
}

std::shared_ptr<void> key_changes::listen(std::function<void()> wake) {
  const std::lock_guard lock{listeners_->guard};
  const auto number = listeners_->next++;
  listeners_->all.emplace(number, std::move(wake));
  return {nullptr, [to = listeners_, number](void*) {
            const std::lock_guard held{to->guard};
            to->all.erase(number);
          }};
}

}  // namespace cpns::actors
