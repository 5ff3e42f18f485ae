#pragma once
// What many actors have for one.

#include <mutex>
#include <utility>
#include <vector>

namespace cpns::server {

/// The requests that were written together are answered together, by an actor each. A message from each of them costs more than
/// what it says; so they put that here, and only the first one sends a message, after which the reader takes all that is here.
/// [thread-safe]
template <class T>
class gathered {
 public:
  /// True: nothing was here, so the caller has to send for the reader.
  [[nodiscard]] bool put(T what) {
    std::lock_guard lock{guard_};
    all_.push_back(std::move(what));
    return all_.size() == 1;
  }
  /// In the order in which it came.
  [[nodiscard]] std::vector<T> take() {
    std::vector<T> out;
    out.reserve(usual);
    std::lock_guard lock{guard_};
    out.swap(all_);
    return out;
  }

 private:
  static constexpr std::size_t usual = 16;
  std::mutex guard_;
  std::vector<T> all_;
};

}  // namespace cpns::server
