#include "server/presence_rows.hpp"

#include "base/cbor.hpp"

namespace cpns::server {
namespace {

constexpr std::uint64_t presence_schema = 1;
constexpr std::size_t presence_text_max = 512;
constexpr std::size_t gateways_max = 65'536;
constexpr std::size_t bytes_per_gateway = 96;

result<present_gateway> read_present_gateway(cbor::reader& r) {
  present_gateway out;
  CPNS_CHECK(r.array_of("gateway", 4));
  CPNS_TRY(out.gw.value, r.bstr_of<16>("gw"));
  CPNS_TRY(const auto count, r.array("connections", 0, gateway_register::connections_max));
  for (std::size_t i = 0; i < count; ++i) {
    gateway_register::connection_view c;
    CPNS_CHECK(r.array_of("connection", 4));
    CPNS_TRY(c.address, r.tstr("address", 0, presence_text_max));
    CPNS_TRY(const auto since, r.uint("since", INT64_MAX));
    c.since = time_point(milliseconds(since));
    CPNS_TRY(c.requests, r.uint("requests"));
    CPNS_TRY(c.protocol, r.tstr("protocol", 0, presence_text_max));
    out.connections.push_back(std::move(c));
  }
  CPNS_TRY(out.requests_per_minute, r.uint("requests_per_minute"));
  CPNS_TRY(out.in_flight, r.uint("in_flight"));
  return out;
}

result<presence_page> read_presence_page(cbor::reader& r) {
  presence_page out;
  CPNS_CHECK(r.array_of("page", 4));
  CPNS_TRY(const auto schema, r.uint("schema"));
  if (schema != presence_schema)
    return fail(errc::wire_range, "schema " + std::to_string(schema) + " is not known");
  CPNS_TRY(out.start, r.bstr_of<16>("start"));
  CPNS_TRY(const auto bits, r.uint("bits", presence_page::bits_max));
  out.bits = static_cast<std::uint8_t>(bits);
  CPNS_TRY(const auto count, r.array("gateways", 0, gateways_max));
  for (std::size_t i = 0; i < count; ++i) {
    CPNS_TRY(auto one, read_present_gateway(r));
    out.gateways.push_back(std::move(one));
  }
  CPNS_CHECK(r.end("page"));
  return out;
}

}  // namespace

std::size_t presence_page_of(const gateway_id& gw, std::uint8_t bits) {
  const auto& id = gw.value;
  constexpr int byte_bits = 8;
  const auto last = static_cast<std::size_t>(id[id.size() - 2]) << byte_bits | id[id.size() - 1];
  return last & ((std::size_t{1} << bits) - 1);
}

storage::row_name presence_row(std::string_view node, std::size_t page) {
  const auto name = "gateways of " + std::string(node) + ", page " + std::to_string(page);
  return {storage::table::meta, to_bytes(as_bytes(name))};
}

secret_bytes encode(const presence_page& p, bool with_load) {
  cbor::writer w{bytes_per_gateway * (p.gateways.size() + 1)};
  const auto load = [with_load](std::uint64_t n) { return with_load ? n : 0; };
  w.array(4).uint(presence_schema).bstr(p.start).uint(p.bits).array(p.gateways.size());
  for (const auto& g : p.gateways) {
    w.array(4).bstr(g.gw.value).array(g.connections.size());
    for (const auto& c : g.connections)
      w.array(4)
          .tstr(c.address)
          .uint(static_cast<std::uint64_t>(unix_milliseconds(c.since)))
          .uint(load(c.requests))
          .tstr(c.protocol);
    w.uint(load(g.requests_per_minute)).uint(load(g.in_flight));
  }
  return secret_bytes{w.take()};
}

result<presence_page> decode_presence_page(byte_view in) {
  cbor::reader r{in};
  auto out = read_presence_page(r);
  if (!out)
    return fail(errc::store_damaged,
                "a page of connected gateways is damaged (" + out.error().message() + ")");
  return out;
}

}  // namespace cpns::server
