#pragma once
// The pending requests of each user, over all gateways.
//
// The bounds per gateway do not hold a user with many gateways. A request counts once its proof is right: otherwise
// anybody could use up the bound of a user whose name is known.

#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/ids.hpp"

namespace cpns::server {

/// [thread-safe]
class user_work : public std::enable_shared_from_this<user_work> {
 public:
  /// One request that counts; the destructor gives it back.
  class permit {
   public:
    permit() = default;
    permit(std::shared_ptr<user_work> of, user_id user) : of_(std::move(of)), user_(std::move(user)) {}
    permit(permit&&) noexcept = default;
    permit& operator=(permit&& other) noexcept {
      std::swap(of_, other.of_);
      std::swap(user_, other.user_);
      return *this;
    }
    ~permit() {
      if (of_) of_->give_back(*user_);
    }
    explicit operator bool() const { return of_ != nullptr; }

   private:
    std::shared_ptr<user_work> of_;
    std::optional<user_id> user_;
  };

  /// An empty permit: `most` requests of the user are pending.
  permit take(const user_id& user, std::size_t most) {
    std::lock_guard lock{guard_};
    auto& n = pending_[user];
    if (n >= most) return {};
    ++n;
    return permit{shared_from_this(), user};
  }
  /// With pending requests.
  [[nodiscard]] std::size_t users() const {
    std::lock_guard lock{guard_};
    return pending_.size();
  }

 private:
  void give_back(const user_id& user) {
    std::lock_guard lock{guard_};
    if (const auto at = pending_.find(user); --at->second == 0) pending_.erase(at);
  }

  mutable std::mutex guard_;
  std::unordered_map<user_id, std::size_t> pending_;
};

}  // namespace cpns::server
