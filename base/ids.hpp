#pragma once
// Strong types for ids: ids of different kinds cannot be mixed up, and every id is well formed.

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace cpns {

/// N random or derived bytes; `Tag` makes each kind a type of its own. Printable as hex.
template <class Tag, std::size_t N>
struct byte_id {
  static constexpr std::size_t size = N;
  byte_array<N> value{};

  [[nodiscard]] byte_view view() const { return value; }
  [[nodiscard]] std::string hex() const { return to_hex(value); }
  friend auto operator<=>(const byte_id&, const byte_id&) = default;
};

/// gw_id of docs/protocol.md: names one PN GW.
using gateway_id = byte_id<struct gateway_id_tag, 16>;
/// Distinguishes sets of EUKeys that have the same generation.
using set_id = byte_id<struct set_id_tag, 8>;
/// One request of a gateway; the same after a reconnect.
using request_id = byte_id<struct request_id_tag, 16>;
/// One per ownership of an entity.
using owner_tag = byte_id<struct owner_tag_tag, 16>;
/// A MAC as sent, 16 bytes (possession, presence, confirm, retire).
using tag16 = byte_id<struct tag16_tag, 16>;

/// Names one EUKey of an entity: generation * 65536 + index, 48 bits.
class epoch {
 public:
  static constexpr std::uint64_t max_value = (std::uint64_t{1} << 48) - 1;
  constexpr epoch() = default;
  constexpr epoch(std::uint32_t generation, std::uint16_t index)
      : value_(std::uint64_t{generation} << 16 | index) {}
  /// `v` is at most max_value.
  static constexpr epoch from_value(std::uint64_t v) {
    epoch e;
    e.value_ = v;
    return e;
  }
  [[nodiscard]] constexpr std::uint64_t value() const { return value_; }
  [[nodiscard]] constexpr std::uint32_t generation() const {
    return static_cast<std::uint32_t>(value_ >> 16);
  }
  [[nodiscard]] constexpr std::uint16_t index() const { return static_cast<std::uint16_t>(value_ & 0xffff); }
  /// "generation.index", for people.
  [[nodiscard]] std::string text() const {
    return std::to_string(generation()) + "." + std::to_string(index());
  }
  friend constexpr auto operator<=>(const epoch&, const epoch&) = default;

 private:
  std::uint64_t value_ = 0;
};

/// The identity of a PNE (step 2): 1 to 64 bytes in one of these schemes. `urn:dev:mac:` EUI-48/64 (RFC 9039),
/// `urn:gsma:imei:` with its check digit (RFC 7254), `urn:uuid:` (RFC 9562), `urn:dev:os:` organisation and
/// serial (RFC 9039).
class entity_id {
 public:
  static constexpr std::size_t max_size = 64;
  entity_id() = default;  ///< empty: no entity
  /// wire_grammar; the detail names the scheme and the fault.
  static result<entity_id> parse(std::string_view text);
  /// The fault alone, such as "has a wrong check digit", without a part of `text`, which may be a secret in a wrong place.
  /// Empty: it has none.
  static std::string fault_of(std::string_view text);
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] bool empty() const { return text_.empty(); }
  friend auto operator<=>(const entity_id&, const entity_id&) = default;

 private:
  explicit entity_id(std::string t) : text_(std::move(t)) {}
  std::string text_;
};

/// The CPNS User ID: 1 to 64 bytes of printable ASCII without spaces, for example an e-mail address.
class user_id {
 public:
  static constexpr std::size_t max_size = 64;
  user_id() = default;  ///< empty: no user
  /// wire_grammar; the detail names the fault.
  static result<user_id> parse(std::string_view text);
  /// As entity_id::fault_of.
  static std::string fault_of(std::string_view text);
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] bool empty() const { return text_.empty(); }
  friend auto operator<=>(const user_id&, const user_id&) = default;

 private:
  explicit user_id(std::string t) : text_(std::move(t)) {}
  std::string text_;
};

}  // namespace cpns

template <class Tag, std::size_t N>
struct std::hash<cpns::byte_id<Tag, N>> {
  std::size_t operator()(const cpns::byte_id<Tag, N>& id) const noexcept {
    return std::hash<std::string_view>{}(cpns::as_text(id.value));
  }
};
template <>
struct std::hash<cpns::entity_id> {
  std::size_t operator()(const cpns::entity_id& id) const noexcept {
    return std::hash<std::string>{}(id.text());
  }
};
template <>
struct std::hash<cpns::user_id> {
  std::size_t operator()(const cpns::user_id& id) const noexcept {
    return std::hash<std::string>{}(id.text());
  }
};
