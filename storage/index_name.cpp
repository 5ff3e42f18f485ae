#include "storage/index_name.hpp"

#include "base/cbor.hpp"

namespace cpns::storage {

namespace {

struct index_parts {
  std::uint64_t index = 0;
  byte_view group, member;
  std::size_t group_end = 0;  ///< in the row
};

result<index_parts> parts_of(byte_view row) {
  cbor::reader r(row);
  index_parts out;
  CPNS_CHECK(r.array_of("index row", 3));
  CPNS_TRY(out.index, r.uint("index"));
  CPNS_TRY(out.group, r.bstr("group", 0, index_group_max));
  out.group_end = r.offset();
  CPNS_TRY(out.member, r.bstr("member", 1, index_member_max));
  CPNS_CHECK(r.end("index row"));
  return out;
}

}  // namespace

bytes encode(const index_group& g) { return cbor::writer().array(2).uint(g.index).bstr(g.name).take(); }

bytes index_row(const index_group& group, byte_view member) {
  return cbor::writer().array(3).uint(group.index).bstr(group.name).bstr(member).take();
}

result<index_entry> read_index_row(byte_view row) {
  CPNS_TRY(const auto found, parts_of(row));
  return index_entry{{found.index, to_bytes(found.group)}, to_bytes(found.member)};
}

std::optional<byte_view> group_in(byte_view row) {
  const auto found = parts_of(row);
  if (!found) return std::nullopt;
  return row.subspan(1, found->group_end - 1);
}

}  // namespace cpns::storage
