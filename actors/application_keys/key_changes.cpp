#include "actors/application_keys/key_changes.hpp"

#include <utility>

namespace cpns::actors {

void key_changes::changed(const entity_id& device) {
  {
    const std::lock_guard lock{guard_};
    const auto [entry, is_new] = of_.try_emplace(device, 0);
    if (!is_new) by_number_.erase(entry->second);
    entry->second = ++newest_;
    by_number_.emplace_hint(by_number_.end(), newest_, entry);
    if (of_.size() > kept_max_) {
      const auto oldest = by_number_.begin();
      forgotten_ = oldest->first;
      of_.erase(oldest->second);
      by_number_.erase(oldest);
    }
  }
  // A listener may be the last owner of itself, so its ticket can be dropped while it runs.
  std::vector<std::shared_ptr<const std::function<void()>>> all;
  {
    const std::lock_guard lock{listeners_->guard};
    all.reserve(listeners_->all.size());
    for (const auto& [number, wake] : listeners_->all) all.push_back(wake);
  }
  for (const auto& wake : all) (*wake)();
}

std::uint64_t key_changes::newest() const {
  const std::lock_guard lock{guard_};
  return newest_;
}

bool key_changes::knows_from(std::uint64_t place) const {
  const std::lock_guard lock{guard_};
  return forgotten_ <= place && place <= newest_;
}

std::uint64_t key_changes::newest_of(const entity_id& device) const {
  const std::lock_guard lock{guard_};
  const auto found = of_.find(device);
  return found == of_.end() ? 0 : found->second;
}

key_changes::batch key_changes::after(std::uint64_t place, std::size_t most) const {
  const std::lock_guard lock{guard_};
  batch out;
  out.last = place;
  out.lost = place < forgotten_;
  if (out.lost) return out;
  for (auto at = by_number_.upper_bound(place); at != by_number_.end() && out.changes.size() < most; ++at) {
    out.changes.push_back({at->second->first, at->first});
    out.last = at->first;
  }
  return out;
}

std::shared_ptr<void> key_changes::listen(std::function<void()> wake) {
  auto kept = std::make_shared<const std::function<void()>>(std::move(wake));
  const std::lock_guard lock{listeners_->guard};
  const auto number = listeners_->next++;
  listeners_->all.emplace(number, std::move(kept));
  return {nullptr, [to = listeners_, number](void*) {
            std::shared_ptr<const std::function<void()>>
                ended;  // destroyed after the lock: it may own a listener
            const std::lock_guard held{to->guard};
            if (auto node = to->all.extract(number)) ended = std::move(node.mapped());
          }};
}

}  // namespace cpns::actors
