#pragma once
// The rows of `meta` by which a server of a shared store has connections closed at the others, and by which they confirm.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::server {

using order_id = request_id;

/// Each server closes its connections of this gateway, once.
struct close_order {
  order_id id;
  gateway_id gw;
  std::string by;  ///< name of the server whose operator wants it
};
/// The row of orders has the latest ones, the newest last; so has the row of the confirmations of a server.
inline constexpr std::size_t orders_max = 64;

struct order_done {
  order_id id;
  std::uint64_t closed = 0;  ///< connections
};
struct orders_done {
  byte_array<16> start{};  ///< node_row::start of the process that did them
  std::vector<order_done> done{};
};

storage::row_name orders_row();
storage::row_name orders_done_row(std::string_view node);

secret_bytes encode(const std::vector<close_order>& orders);
/// store_damaged.
result<std::vector<close_order>> decode_orders(byte_view in);
secret_bytes encode(const orders_done& d);
/// store_damaged.
result<orders_done> decode_orders_done(byte_view in);

}  // namespace cpns::server
