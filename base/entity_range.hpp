#pragma once
// Sets of Entity IDs in one text each, for a source of Temporary Keys (docs/protocol.md, "Batches"):
//
//   PREFIX*    all Entity IDs that begin with PREFIX and are longer
//   FROM..TO   all Entity IDs of this length from FROM to TO, which differ in digits at their end
//
// Both name a part of a scheme, never a whole one: the manufacturer's block (MAC, IMEI), the number of the enterprise
// (dev:os), the first 8 digits (UUID).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"

namespace cpns {

class entity_range {
 public:
  /// wire_grammar; the detail names the fault.
  static result<entity_range> parse(std::string_view text);

  [[nodiscard]] std::string text() const;
  [[nodiscard]] bool is_prefix() const { return last_.empty(); }
  /// FROM, or the prefix.
  [[nodiscard]] const std::string& first() const { return first_; }
  [[nodiscard]] bool contains(const entity_id& entity) const;
  /// Whether an Entity ID is, or may be, in both: texts are compared, so that check digits do not count.
  [[nodiscard]] bool overlaps(const entity_range& other) const;
  friend bool operator==(const entity_range&, const entity_range&) = default;

 private:
  entity_range(std::string first, std::string last) : first_(std::move(first)), last_(std::move(last)) {}
  std::string first_;
  std::string last_;  ///< TO; empty for a prefix
};

/// The Entity IDs from one to another one, in their order. Copies are independent.
class entity_series {
 public:
  /// wire_grammar unless FROM..TO is an entity_range; config_range: it has more than `most` Entity IDs.
  static result<entity_series> between(const entity_id& from, const entity_id& to, std::uint64_t most);

  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] const entity_id& current() const { return current_; }
  /// Goes to the next one; false if there is none.
  bool advance();

 private:
  entity_series() = default;
  entity_id current_;
  std::vector<std::size_t> places_;  ///< of the digits that count up, in the text
  unsigned base_ = 10;
  std::uint64_t size_ = 1, left_ = 0;
};

}  // namespace cpns
