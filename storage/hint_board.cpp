#include "storage/hint_board.hpp"

namespace cpns::storage {

std::shared_ptr<void> hint_board::add(std::function<void()> heard) {
  const std::lock_guard lock{shared_->guard};
  const auto number = shared_->next++;
  shared_->all.emplace(number, std::move(heard));
  // The pointer is only a token: what counts is its deleter.
  return {static_cast<void*>(nullptr), [of = shared_, number](void*) {
            const std::lock_guard in{of->guard};
            of->all.erase(number);
          }};
}

void hint_board::ring() const {
  const std::lock_guard lock{shared_->guard};
  for (const auto& [number, heard] : shared_->all) heard();
}

}  // namespace cpns::storage
