#include "protocol/node_codec.hpp"

#include <algorithm>
#include <string>

#include "base/ascii.hpp"
#include "base/cbor.hpp"

namespace cpns::protocol {
namespace {

using cbor::reader;
using cbor::writer;

constexpr std::size_t node_host_max = 253;
constexpr std::size_t ipv6_min = 2, ipv6_max = 45;
constexpr std::size_t port_digits_max = 5;
constexpr std::size_t node_address_min = 3;
constexpr std::size_t node_address_max = node_host_max + 1 + port_digits_max;

bool is_in_name(char c) { return is_alnum(c) || c == '.' || c == '_' || c == '-'; }

bool is_port(std::string_view text) {
  if (text.empty() || text.size() > port_digits_max || text.front() == '0') return false;
  if (!std::all_of(text.begin(), text.end(), is_digit)) return false;
  return std::stoul(std::string{text}) <= UINT16_MAX;
}

bool is_host(std::string_view text) {
  if (!text.starts_with('['))
    return !text.empty() && text.size() <= node_host_max && std::all_of(text.begin(), text.end(), is_in_name);
  if (!text.ends_with(']')) return false;
  const auto inside = text.substr(1, text.size() - 2);
  return inside.size() >= ipv6_min && inside.size() <= ipv6_max &&
         inside.find(':') != std::string_view::npos &&
         std::all_of(inside.begin(), inside.end(), [](char c) { return is_hex(c) || c == ':' || c == '.'; });
}

result<node_list> read_nodes(reader& r) {
  node_list m;
  CPNS_TRY(const auto n, r.array("Nodes.addresses", 0, nodes_max));
  m.addresses.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    CPNS_TRY(const auto text, r.tstr("Nodes.address", node_address_min, node_address_max));
    if (!is_node_address(text))
      return fail(errc::wire_grammar, "Nodes.address: not host:port with a port from 1 to 65535");
    if (std::find(m.addresses.begin(), m.addresses.end(), text) != m.addresses.end())
      return fail(errc::wire_order, "Nodes.addresses: names an address twice");
    m.addresses.emplace_back(text);
  }
  return m;
}

struct node_opening {
  std::uint64_t type = 0;
  std::size_t elements = 0;
  request_id id;
  std::uint64_t incarnation = 0;
};

/// Reads the elements that all four messages begin with, for the two types of one direction.
result<node_opening> read_node_opening(reader& r, byte_view in, node_type first, node_type second) {
  if (in.size() > link_message_max)
    return fail(errc::wire_oversized, std::to_string(in.size()) + " bytes on the server link, at most " +
                                          std::to_string(link_message_max));
  node_opening o;
  CPNS_TRY(o.elements, r.array("server link message", 3, 4));
  CPNS_TRY(o.type, r.uint("server link message type"));
  if (o.type != static_cast<std::uint64_t>(first) && o.type != static_cast<std::uint64_t>(second))
    return fail(errc::wire_unknown_message,
                "server link message type " + std::to_string(o.type) + " is not of this direction");
  CPNS_TRY(o.id.value, r.bstr_of<16>("request_id"));
  CPNS_TRY(o.incarnation, r.uint("incarnation"));
  return o;
}

status expect_elements(const node_opening& o, std::string_view name, std::size_t elements) {
  if (o.elements == elements) return {};
  return fail(errc::wire_length, std::string{name} + " has " + std::to_string(o.elements) +
                                     " elements, expected " + std::to_string(elements));
}

std::optional<std::uint64_t> type_of(byte_view in) {
  reader r{in};
  if (!r.array("server link message", 3, UINT32_MAX)) return std::nullopt;
  const auto type = r.uint("type");
  return type ? std::optional{*type} : std::nullopt;
}

bool begins_as(byte_view in, node_type first, node_type second) {
  const auto type = type_of(in);
  return type == static_cast<std::uint64_t>(first) || type == static_cast<std::uint64_t>(second);
}

writer begin_node(node_type type, std::size_t elements, const request_id& id, std::uint64_t incarnation) {
  writer w{64};
  w.array(elements).uint(static_cast<std::uint64_t>(type)).bstr(id.value).uint(incarnation);
  return w;
}

}  // namespace

bool is_node_address(std::string_view text) {
  const auto colon = text.rfind(':');
  return colon != std::string_view::npos && is_host(text.substr(0, colon)) && is_port(text.substr(colon + 1));
}

bytes encode(const node_request& r) {
  if (const auto* m = std::get_if<drain_order>(&r.body))
    return begin_node(node_type::drain, 4, r.id, r.incarnation).uint(m->within_ms).take();
  const auto& m = std::get<node_list>(r.body);
  auto w = begin_node(node_type::nodes, 4, r.id, r.incarnation);
  w.array(m.addresses.size());
  for (const auto& a : m.addresses) w.tstr(a);
  return w.take();
}

result<node_request> decode_node_request(byte_view in) {
  reader r{in};
  CPNS_TRY(const auto o, read_node_opening(r, in, node_type::drain, node_type::nodes));
  node_request out{o.id, o.incarnation, drain_order{}};
  if (o.type == static_cast<std::uint64_t>(node_type::drain)) {
    CPNS_CHECK(expect_elements(o, "Drain", 4));
    CPNS_TRY(const auto within, r.uint("Drain.within_ms", drain_within_max.count()));
    out.body = drain_order{static_cast<std::uint32_t>(within)};
  } else {
    CPNS_CHECK(expect_elements(o, "Nodes", 4));
    CPNS_TRY(out.body, read_nodes(r));
  }
  CPNS_CHECK(r.end("server link message"));
  return out;
}

bool begins_node_request(byte_view in) { return begins_as(in, node_type::drain, node_type::nodes); }

bytes encode(const node_acknowledgement& a) { return begin_node(a.type, 3, a.id, a.incarnation).take(); }

result<node_acknowledgement> decode_node_acknowledgement(byte_view in) {
  reader r{in};
  CPNS_TRY(const auto o,
           read_node_opening(r, in, node_type::drain_acknowledged, node_type::nodes_acknowledged));
  CPNS_CHECK(expect_elements(o, "an acknowledgement", 3));
  CPNS_CHECK(r.end("server link message"));
  return node_acknowledgement{o.id, o.incarnation, static_cast<node_type>(o.type)};
}

bool begins_node_acknowledgement(byte_view in) {
  return begins_as(in, node_type::drain_acknowledged, node_type::nodes_acknowledged);
}

}  // namespace cpns::protocol
