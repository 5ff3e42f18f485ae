#pragma once
// Places of peers and requests, which are bounded. Private to api/.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace cpns::api::detail {

/// A place that is taken; it is given back when the last copy is destroyed.
using place = std::shared_ptr<void>;

/// The name under which all readers of events are counted together.
inline const std::string all_readers = "all";

/// Counts the places that are taken under each name. [thread-safe]
class places {
 public:
  [[nodiscard]] std::size_t of(const std::string& key) const {
    const std::lock_guard lock{inner_->guard};
    const auto it = inner_->taken.find(key);
    return it == inner_->taken.end() ? 0 : it->second;
  }
  place take(const std::string& key) { return take_below(key, SIZE_MAX); }
  /// nullptr if `most` are taken.
  place take_below(const std::string& key, std::size_t most) {
    const std::lock_guard lock{inner_->guard};
    auto& n = inner_->taken[key];
    if (n >= most) return nullptr;
    ++n;
    return {this, [inner = inner_, key](void*) {
              const std::lock_guard held{inner->guard};
              if (--inner->taken[key] == 0) inner->taken.erase(key);
            }};
  }

 private:
  struct counts {
    std::mutex guard;
    std::map<std::string, std::size_t> taken;
  };
  std::shared_ptr<counts> inner_ = std::make_shared<counts>();
};

}  // namespace cpns::api::detail
