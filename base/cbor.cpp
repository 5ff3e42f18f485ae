#include "base/cbor.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "base/secret.hpp"

namespace cpns::cbor {
namespace {

constexpr std::uint8_t major_uint = 0, major_bstr = 2, major_tstr = 3, major_array = 4, major_map = 5;
constexpr std::uint8_t byte_false = 0xf4, byte_true = 0xf5, byte_null = 0xf6;

bool is_utf8(byte_view b) {
  while (!b.empty()) {
    const auto n = utf8_length(b);
    if (n == 0) return false;
    b = b.subspan(n);
  }
  return true;
}

}  // namespace

writer::writer(writer&& other) noexcept
    : heap_(std::move(other.heap_)), room_(std::exchange(other.room_, inline_room)),
      size_(std::exchange(other.size_, 0)) {
  if (!heap_.empty()) return;
  std::copy_n(other.inline_.begin(), size_, inline_.begin());
  wipe(other.inline_.data(), size_);
}

writer& writer::clear() {
  wipe(heap_.empty() ? inline_.data() : heap_.data(), size_);
  size_ = 0;
  return *this;
}

void writer::wipe_all() noexcept {
  wipe(heap_.empty() ? inline_.data() : heap_.data(), size_);
  heap_ = {};
  room_ = inline_room;
  size_ = 0;
}

bytes writer::take() {
  if (heap_.empty()) {
    bytes out(inline_.begin(), inline_.begin() + static_cast<std::ptrdiff_t>(size_));
    wipe_all();
    return out;
  }
  heap_.resize(size_);
  size_ = 0;
  room_ = inline_room;
  return std::exchange(heap_, {});
}

void writer::grow(std::size_t more) {
  bytes larger(std::max(2 * room_, size_ + more));
  std::copy_n(data(), size_, larger.begin());
  const auto size = size_;
  wipe_all();
  heap_ = std::move(larger);
  room_ = heap_.size();
  size_ = size;
}

void writer::head(std::uint8_t major, std::uint64_t v) {
  const auto m = static_cast<std::uint8_t>(major << 5);
  const int width = v < 24 ? 0 : v <= 0xff ? 1 : v <= 0xffff ? 2 : v <= 0xffffffff ? 4 : 8;
  if (width == 0) return put(static_cast<std::uint8_t>(m | v));
  auto* at = room_for(1 + static_cast<std::size_t>(width));
  *at++ = static_cast<std::uint8_t>(m | (width == 1 ? 24 : width == 2 ? 25 : width == 4 ? 26 : 27));
  for (int shift = (width - 1) * 8; shift >= 0; shift -= 8) *at++ = static_cast<std::uint8_t>(v >> shift);
}

writer& writer::uint(std::uint64_t v) {
  head(major_uint, v);
  return *this;
}
writer& writer::bstr(byte_view b) {
  head(major_bstr, b.size());
  return raw(b);
}
writer& writer::tstr(std::string_view t) {
  head(major_tstr, t.size());
  return raw(as_bytes(t));
}
writer& writer::array(std::size_t n) {
  head(major_array, n);
  return *this;
}
writer& writer::empty_map() {
  head(major_map, 0);
  return *this;
}
writer& writer::null() {
  put(byte_null);
  return *this;
}
writer& writer::boolean(bool b) {
  put(b ? byte_true : byte_false);
  return *this;
}
writer& writer::raw(byte_view encoded) {
  std::copy(encoded.begin(), encoded.end(), room_for(encoded.size()));
  return *this;
}

tl::unexpected<error> reader::wrong(errc code, std::string_view at, std::string_view what) const {
  return fail(code, std::string{at} + " at byte " + std::to_string(pos_) + ": " + std::string{what});
}

result<reader::head_t> reader::head(std::string_view at) {
  if (pos_ >= in_.size()) return wrong(errc::wire_truncated, at, "the input ends here");
  const std::uint8_t first_byte = in_[pos_];
  const auto major = static_cast<std::uint8_t>(first_byte >> 5);
  const std::uint8_t info = first_byte & 0x1f;
  if (info < 24) {
    ++pos_;
    return head_t{major, info};
  }
  if (info == 31) return wrong(errc::wire_indefinite, at, "an indefinite length");
  if (info > 27) return wrong(errc::wire_type, at, "a reserved additional information value");
  const std::size_t width = std::size_t{1} << (info - 24);
  if (in_.size() - pos_ - 1 < width) return wrong(errc::wire_truncated, at, "the head is cut off");
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < width; ++i) v = v << 8 | in_[pos_ + 1 + i];
  const std::uint64_t least = width == 1 ? 24 : std::uint64_t{1} << (width * 4);
  if (major != 7 && v < least) return wrong(errc::wire_non_minimal, at, "a longer form than needed");
  pos_ += 1 + width;
  return head_t{major, v};
}

result<reader::head_t> reader::head_of(std::string_view at, std::uint8_t major, std::string_view wanted) {
  const std::size_t before = pos_;
  CPNS_TRY(const auto h, head(at));
  if (h.major != major) {
    pos_ = before;
    return wrong(errc::wire_type, at, "must be " + std::string{wanted});
  }
  return h;
}

result<std::uint64_t> reader::uint(std::string_view at, std::uint64_t max) {
  CPNS_TRY(const auto h, head_of(at, major_uint, "an unsigned integer"));
  if (h.value > max) return wrong(errc::wire_range, at, "must be at most " + std::to_string(max));
  return h.value;
}

result<byte_view> reader::bstr(std::string_view at, std::size_t min, std::size_t max) {
  CPNS_TRY(const auto h, head_of(at, major_bstr, "a byte string"));
  if (h.value < min || h.value > max)
    return wrong(errc::wire_length, at,
                 "has " + std::to_string(h.value) + " bytes, expected " + std::to_string(min) +
                     (min == max ? "" : " to " + std::to_string(max)));
  if (h.value > in_.size() - pos_) return wrong(errc::wire_truncated, at, "the string is cut off");
  const auto out = in_.subspan(pos_, static_cast<std::size_t>(h.value));
  pos_ += out.size();
  return out;
}

result<std::string_view> reader::tstr(std::string_view at, std::size_t min, std::size_t max) {
  CPNS_TRY(const auto h, head_of(at, major_tstr, "a text string"));
  if (h.value < min || h.value > max)
    return wrong(errc::wire_length, at,
                 "has " + std::to_string(h.value) + " bytes, expected " + std::to_string(min) +
                     (min == max ? "" : " to " + std::to_string(max)));
  if (h.value > in_.size() - pos_) return wrong(errc::wire_truncated, at, "the text is cut off");
  const auto out = in_.subspan(pos_, static_cast<std::size_t>(h.value));
  if (!is_utf8(out)) return wrong(errc::wire_utf8, at, "is not valid UTF-8");
  pos_ += out.size();
  return as_text(out);
}

result<std::size_t> reader::array(std::string_view at, std::size_t min, std::size_t max) {
  CPNS_TRY(const auto h, head_of(at, major_array, "an array"));
  if (h.value < min || h.value > max)
    return wrong(errc::wire_length, at,
                 "has " + std::to_string(h.value) + " elements, expected " + std::to_string(min) +
                     (min == max ? "" : " to " + std::to_string(max)));
  return static_cast<std::size_t>(h.value);
}

status reader::array_of(std::string_view at, std::size_t n) {
  CPNS_CHECK(array(at, n, n));
  return {};
}

status reader::empty_map(std::string_view at) {
  CPNS_TRY(const auto h, head_of(at, major_map, "an empty map"));
  if (h.value != 0) return wrong(errc::wire_length, at, "must be an empty map");
  return {};
}

result<bool> reader::boolean(std::string_view at) {
  if (pos_ >= in_.size()) return wrong(errc::wire_truncated, at, "the input ends here");
  if (in_[pos_] != byte_true && in_[pos_] != byte_false)
    return wrong(errc::wire_type, at, "must be true or false");
  return in_[pos_++] == byte_true;
}

result<bool> reader::null_next(std::string_view at) {
  if (pos_ >= in_.size()) return wrong(errc::wire_truncated, at, "the input ends here");
  if (in_[pos_] != byte_null) return false;
  ++pos_;
  return true;
}

result<std::optional<std::uint64_t>> reader::uint_or_null(std::string_view at, std::uint64_t max) {
  CPNS_TRY(const bool none, null_next(at));
  if (none) return std::optional<std::uint64_t>{};
  CPNS_TRY(const auto v, uint(at, max));
  return std::optional<std::uint64_t>{v};
}

status reader::end(std::string_view at) const {
  if (pos_ != in_.size())
    return wrong(errc::wire_trailing, at, std::to_string(in_.size() - pos_) + " bytes follow");
  return {};
}

}  // namespace cpns::cbor
