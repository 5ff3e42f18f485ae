#include "server/node_row.hpp"

#include "base/cbor.hpp"

namespace cpns::server {
namespace {

constexpr std::uint64_t row_schema = 1;
constexpr std::size_t elements = 13, elements_before = 12, elements_max = 64;
constexpr std::size_t text_max = 512;

result<node_row> read_node_row(cbor::reader& r) {
  node_row out;
  CPNS_TRY(const auto size, r.array("node", elements_before, elements_max));
  CPNS_TRY(const auto schema, r.uint("schema"));
  if (schema != row_schema)
    return fail(errc::wire_range, "schema " + std::to_string(schema) + " is not known");
  CPNS_TRY(out.name, r.tstr("name", 1, text_max));
  CPNS_TRY(out.start, r.bstr_of<16>("start"));
  CPNS_TRY(out.folder, r.tstr("folder", 0, text_max));
  CPNS_TRY(out.address, r.tstr("address", 0, text_max));
  CPNS_TRY(out.version, r.tstr("version", 0, text_max));
  CPNS_TRY(const auto started, r.uint("started", INT64_MAX));
  CPNS_TRY(const auto beat, r.uint("beat", INT64_MAX));
  out.started = static_cast<std::int64_t>(started);
  out.beat = static_cast<std::int64_t>(beat);
  CPNS_TRY(out.connections, r.uint("connections"));
  CPNS_TRY(out.jobs, r.uint("jobs"));
  CPNS_TRY(out.key, r.tstr("key", 0, text_max));
  CPNS_TRY(const auto state, r.uint("state", UINT8_MAX));
  out.state = static_cast<node_state>(state);
  if (name_of(out.state) == "unknown")
    return fail(errc::wire_range, "state " + std::to_string(state) + " is not known");
  if (size > elements_before) {
    CPNS_TRY(out.schema, r.uint("schema of the tables"));
  }
  if (size <= elements) CPNS_CHECK(r.end("node"));
  return out;
}

}  // namespace

secret_bytes encode(const node_row& r) {
  cbor::writer w{256};
  w.array(elements)
      .uint(row_schema)
      .tstr(r.name)
      .bstr(r.start)
      .tstr(r.folder)
      .tstr(r.address)
      .tstr(r.version);
  w.uint(static_cast<std::uint64_t>(r.started)).uint(static_cast<std::uint64_t>(r.beat));
  w.uint(r.connections).uint(r.jobs).tstr(r.key).uint(static_cast<std::uint64_t>(r.state));
  w.uint(r.schema);
  return secret_bytes{w.take()};
}

result<node_row> decode_node_row(byte_view in) {
  cbor::reader r{in};
  auto out = read_node_row(r);
  if (!out) return fail(errc::store_damaged, "the row of a node is damaged (" + out.error().message() + ")");
  return out;
}

bytes name_of_node(std::string_view name) { return to_bytes(as_bytes(name)); }

}  // namespace cpns::server
