#pragma once
// The plain names of the rows of the table `indexes`. A row says that a member belongs to a group: an entity to its
// holder, a device to its batch.

#include <cstdint>
#include <optional>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace cpns::storage {

/// Which list of members, of which group. The numbers of indexes are those of the role.
struct index_group {
  std::uint64_t index = 0;
  bytes name;  ///< of an owner, a holder or a batch; at most index_group_max bytes
};

inline constexpr std::size_t index_group_max = 255;   ///< bytes of the name of a group
inline constexpr std::size_t index_member_max = 128;  ///< bytes of a member

struct index_entry {
  index_group group;
  bytes member;  ///< 1 to index_member_max bytes
};

/// E([index, group]), the part of the name that all members of a group share.
bytes encode(const index_group& g);
/// The plain name of a row: E([index, group, member]).
bytes index_row(const index_group& group, byte_view member);
/// The elements index and group of a plain name, as encode() has them behind its head; a view of `row`. nullopt: it is not
/// such a name.
std::optional<byte_view> group_in(byte_view row);
/// wire_* if it is not such a name.
result<index_entry> read_index_row(byte_view row);

}  // namespace cpns::storage
