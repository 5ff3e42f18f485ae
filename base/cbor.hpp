#pragma once
// The strict deterministic subset of CBOR (RFC 8949 section 4.2.1) of all messages and records: unsigned
// integers, byte and text strings, arrays, null, booleans and the empty map; shortest forms and definite
// lengths only.

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace cpns::cbor {

/// The output may be secret: the buffer is wiped when it grows and on destruction.
class writer {
 public:
  writer() = default;
  /// Reserves `expected` bytes.
  explicit writer(std::size_t expected) { out_.reserve(expected); }
  ~writer();
  writer(const writer&) = delete;
  writer& operator=(const writer&) = delete;
  writer(writer&&) noexcept = default;
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

  [[nodiscard]] const bytes& view() const { return out_; }
  [[nodiscard]] bytes take() { return std::move(out_); }

 private:
  void head(std::uint8_t major, std::uint64_t v);
  void make_room(std::size_t more);
  bytes out_;
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
