#include "server/order_rows.hpp"

#include "base/cbor.hpp"

namespace cpns::server {
namespace {

constexpr std::uint64_t orders_schema = 1;
constexpr std::size_t server_name_max = 512;

status read_orders_schema(cbor::reader& r) {
  CPNS_TRY(const auto schema, r.uint("schema"));
  if (schema == orders_schema) return {};
  return fail(errc::wire_range, "schema " + std::to_string(schema) + " is not known");
}

result<std::vector<close_order>> read_orders(cbor::reader& r) {
  CPNS_CHECK(r.array_of("row", 2));
  CPNS_CHECK(read_orders_schema(r));
  CPNS_TRY(const auto count, r.array("orders", 0, orders_max));
  std::vector<close_order> out(count);
  for (auto& o : out) {
    CPNS_CHECK(r.array_of("order", 3));
    CPNS_TRY(o.id.value, r.bstr_of<16>("id"));
    CPNS_TRY(o.gw.value, r.bstr_of<16>("gw"));
    CPNS_TRY(o.by, r.tstr("by", 0, server_name_max));
  }
  CPNS_CHECK(r.end("orders"));
  return out;
}

result<orders_done> read_orders_done(cbor::reader& r) {
  orders_done out;
  CPNS_CHECK(r.array_of("row", 3));
  CPNS_CHECK(read_orders_schema(r));
  CPNS_TRY(out.start, r.bstr_of<16>("start"));
  CPNS_TRY(const auto count, r.array("done", 0, orders_max));
  out.done.resize(count);
  for (auto& d : out.done) {
    CPNS_CHECK(r.array_of("done", 2));
    CPNS_TRY(d.id.value, r.bstr_of<16>("id"));
    CPNS_TRY(d.closed, r.uint("closed"));
  }
  CPNS_CHECK(r.end("orders done"));
  return out;
}

template <class T>
result<T> or_orders_damaged(result<T> r) {
  if (!r) return fail(errc::store_damaged, "a row of orders is damaged (" + r.error().message() + ")");
  return r;
}

}  // namespace

storage::row_name orders_row() { return {storage::table::meta, to_bytes(as_bytes("orders to all servers"))}; }

storage::row_name orders_done_row(std::string_view node) {
  return {storage::table::meta, to_bytes(as_bytes("orders done by " + std::string(node)))};
}

secret_bytes encode(const std::vector<close_order>& orders) {
  cbor::writer w;
  w.array(2).uint(orders_schema).array(orders.size());
  for (const auto& o : orders) w.array(3).bstr(o.id.value).bstr(o.gw.value).tstr(o.by);
  return secret_bytes{w.take()};
}

result<std::vector<close_order>> decode_orders(byte_view in) {
  cbor::reader r{in};
  return or_orders_damaged(read_orders(r));
}

secret_bytes encode(const orders_done& d) {
  cbor::writer w;
  w.array(3).uint(orders_schema).bstr(d.start).array(d.done.size());
  for (const auto& one : d.done) w.array(2).bstr(one.id.value).uint(one.closed);
  return secret_bytes{w.take()};
}

result<orders_done> decode_orders_done(byte_view in) {
  cbor::reader r{in};
  return or_orders_damaged(read_orders_done(r));
}

}  // namespace cpns::server
