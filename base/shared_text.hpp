#pragma once
// A text that several tables hold.

#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <new>
#include <string>
#include <string_view>
#include <utility>

namespace cpns {

/// A gateway may have a million PNEs, and the name of each is in several tables. A std::string takes 64 bytes in each of them;
/// this takes 8, and once for all copies the text and 8 bytes. Immutable. Copies may be used by several threads.
class shared_text {
 public:
  shared_text() = default;  ///< empty
  explicit shared_text(std::string_view text) : at_(text.empty() ? nullptr : make(text)) {}
  shared_text(const shared_text& other) noexcept : at_(other.at_) {
    if (at_ != nullptr) at_->holders.fetch_add(1, std::memory_order_relaxed);
  }
  shared_text(shared_text&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}
  shared_text& operator=(shared_text other) noexcept {
    std::swap(at_, other.at_);
    return *this;
  }
  ~shared_text() {
    if (at_ == nullptr || at_->holders.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    at_->~head();
    ::operator delete(at_);
  }

  [[nodiscard]] bool empty() const { return at_ == nullptr; }
  /// Valid as long as this one, which therefore must have a name.
  [[nodiscard]] std::string_view view() const& {
    return at_ == nullptr ? std::string_view{}
                          : std::string_view{reinterpret_cast<const char*>(at_ + 1), at_->size};
  }
  std::string_view view() const&& = delete;
  [[nodiscard]] std::string text() const { return std::string{view()}; }
  operator std::string_view() const { return view(); }  // NOLINT(google-explicit-constructor)
  /// Of all copies together.
  [[nodiscard]] std::size_t bytes() const { return at_ == nullptr ? 0 : sizeof(head) + at_->size; }

 private:
  /// The text follows it.
  struct head {
    std::atomic<std::uint32_t> holders;
    std::uint32_t size;
  };
  static head* make(std::string_view text) {
    auto* out =
        new (::operator new(sizeof(head) + text.size())) head{1, static_cast<std::uint32_t>(text.size())};
    std::memcpy(static_cast<void*>(out + 1), text.data(), text.size());
    return out;
  }

  head* at_ = nullptr;
};

// For containers that are searched by any text.
struct text_less {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const { return a < b; }
};

}  // namespace cpns
