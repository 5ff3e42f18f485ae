#pragma once
// The strict deterministic subset of CBOR (RFC 8949 section 4.2.1) of all messages and records: unsigned
// integers, byte and text strings, arrays, null, booleans and the empty map; shortest forms and definite
// lengths only.

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace cpns::cbor {

/// Most outputs are the input of a hash or a MAC, have some hundred bytes, and are gone at once: those stay within the object, and
/// take no memory of the heap. The output may be secret: what held it is wiped when it grows and on destruction.
class writer {
 public:
  writer() = default;
  /// Reserves `expected` bytes, so that take() copies nothing.
  explicit writer(std::size_t expected) : heap_(expected), room_(expected) {}
  ~writer() { wipe_all(); }
  writer(const writer&) = delete;
  writer& operator=(const writer&) = delete;
  writer(writer&& other) noexcept;
  writer& operator=(writer&&) = delete;

  writer& uint(std::uint64_t v);
  writer& bstr(byte_view b);
  writer& tstr(std::string_view t);
  /// Begins an array; the next `n` elements written belong to it.
  writer& array(std::size_t n);
  writer& empty_map();
  writer& null();
  writer& boolean(bool b);
  /// Appends elements that are encoded already.
  writer& raw(byte_view encoded);

  /// Begins again, and keeps the memory.
  writer& clear();

  /// Valid until the next element is written.
  [[nodiscard]] byte_view view() const { return {data(), size_}; }
  /// The writer is empty then.
  [[nodiscard]] bytes take();

 private:
  static constexpr std::size_t inline_room = 256;
  [[nodiscard]] const std::uint8_t* data() const { return heap_.empty() ? inline_.data() : heap_.data(); }
  void head(std::uint8_t major, std::uint64_t v);
  /// Where the next `more` bytes go; they are counted.
  std::uint8_t* room_for(std::size_t more) {
    if (room_ - size_ < more) grow(more);
    auto* const at = (heap_.empty() ? inline_.data() : heap_.data()) + size_;
    size_ += more;
    return at;
  }
  void grow(std::size_t more);
  void put(std::uint8_t b) { *room_for(1) = b; }
  void wipe_all() noexcept;

  std::array<std::uint8_t, inline_room> inline_;  ///< until it is full
  bytes heap_;                                    ///< as large as its room
  std::size_t room_ = inline_room, size_ = 0;
};

/// Reads elements in order. Every error names the element (`at`), its offset and the fault; do not use a reader
/// after an error. Views point into the input.
class reader {
 public:
  explicit reader(byte_view in) : in_(in) {}

  result<std::uint64_t> uint(std::string_view at, std::uint64_t max = UINT64_MAX);
  /// `min` to `max` bytes.
  result<byte_view> bstr(std::string_view at, std::size_t min, std::size_t max);
  template <std::size_t N>
  result<byte_array<N>> bstr_of(std::string_view at) {
    auto b = bstr(at, N, N);
    if (!b) return fail(std::move(b).error());
    return first<N>(*b);
  }
  /// Valid UTF-8 of `min` to `max` bytes.
  result<std::string_view> tstr(std::string_view at, std::size_t min, std::size_t max);
  /// The number of elements, `min` to `max`. Callers read fixed shapes, so that depth is bounded.
  result<std::size_t> array(std::string_view at, std::size_t min, std::size_t max);
  /// An array of exactly `n` elements.
  status array_of(std::string_view at, std::size_t n);
  status empty_map(std::string_view at);
  result<bool> boolean(std::string_view at);
  /// Consumes the next element if it is null; true if it was.
  result<bool> null_next(std::string_view at);
  template <std::size_t N>
  result<std::optional<byte_array<N>>> bstr_or_null(std::string_view at) {
    auto none = null_next(at);
    if (!none) return fail(std::move(none).error());
    if (*none) return std::optional<byte_array<N>>{};
    auto b = bstr_of<N>(at);
    if (!b) return fail(std::move(b).error());
    return std::optional<byte_array<N>>{*b};
  }
  result<std::optional<std::uint64_t>> uint_or_null(std::string_view at, std::uint64_t max = UINT64_MAX);
  /// wire_trailing if bytes follow.
  status end(std::string_view at) const;
  [[nodiscard]] std::size_t offset() const { return pos_; }

 private:
  struct head_t {
    std::uint8_t major;
    std::uint64_t value;
  };
  result<head_t> head(std::string_view at);
  result<head_t> head_of(std::string_view at, std::uint8_t major, std::string_view wanted);
  [[nodiscard]] tl::unexpected<error> wrong(errc code, std::string_view at, std::string_view what) const;

  byte_view in_;
  std::size_t pos_ = 0;
};

}  // namespace cpns::cbor
