#pragma once
// The rows of `meta` in which a server of a shared store says which gateways are connected to it.
//
// A row per gateway would cost a commit per connection: after the end of a server, thousands of gateways come to the others
// within seconds. So a row is a page of many gateways, and is written once for all that changed in it meanwhile. The last
// bytes of a gw_id choose its page; page 0 says how many pages there are.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "server/gateway_register.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::server {

/// A gateway that is connected to one server.
struct present_gateway {
  gateway_id gw;
  std::vector<gateway_register::connection_view> connections{};  ///< the newest last
  std::uint64_t requests_per_minute = 0, in_flight = 0;
};

struct presence_page {
  static constexpr std::uint8_t bits_max = 12;
  byte_array<16>
      start{};  ///< node_row::start of the process that wrote it; pages of other processes do not count
  std::uint8_t bits = 0;  ///< there are 2^bits pages; in each page, though page 0 alone counts
  std::vector<present_gateway> gateways{};
};

/// Of the pages 0 to 2^bits - 1.
std::size_t presence_page_of(const gateway_id& gw, std::uint8_t bits);
storage::row_name presence_row(std::string_view node, std::size_t page);

/// Without the loads (all of them 0), for comparisons, if not `with_load`.
secret_bytes encode(const presence_page& p, bool with_load = true);
/// store_damaged.
result<presence_page> decode_presence_page(byte_view in);

}  // namespace cpns::server
