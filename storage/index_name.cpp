#include "storage/index_name.hpp"

#include "base/cbor.hpp"

namespace cpns::storage {

bytes encode(const index_group& g) { return cbor::writer().array(2).uint(g.index).bstr(g.name).take(); }

bytes index_row(const index_group& group, byte_view member) {
  return cbor::writer().array(3).uint(group.index).bstr(group.name).bstr(member).take();
}

result<index_entry> read_index_row(byte_view row) {
  cbor::reader r(row);
  index_entry out;
  CPNS_CHECK(r.array_of("index row", 3));
  CPNS_TRY(out.group.index, r.uint("index"));
  CPNS_TRY(const auto group, r.bstr("group", 0, index_group_max));
  CPNS_TRY(const auto member, r.bstr("member", 1, index_member_max));
  CPNS_CHECK(r.end("index row"));
  out.group.name = to_bytes(group);
  out.member = to_bytes(member);
  return out;
}

}  // namespace cpns::storage
