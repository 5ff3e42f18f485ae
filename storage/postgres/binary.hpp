#pragma once
// PostgreSQL's binary form of parameters and of columns. [thread-safe]

#include <libpq-fe.h>
#include <memory>
#include <span>
#include <string>

#include "base/bytes.hpp"

namespace cpns::storage::postgres {

struct free_reply {
  void operator()(PGresult* r) const noexcept { PQclear(r); }
};
/// The server's answer to one statement.
using reply = std::unique_ptr<PGresult, free_reply>;

/// A bigint.
std::string int8_parameter(std::uint64_t v);
/// A bytea; a copy.
std::string bytea_parameter(byte_view b);
/// A bytea[] without nulls.
std::string bytea_array(std::span<const byte_view> elements);
/// A bigint[] without nulls.
std::string int8_array(std::span<const std::uint64_t> elements);

/// The bytes of a column; valid as long as the reply.
byte_view bytes_at(const reply& r, int row, int column);
/// A bigint column, or an integer one.
std::uint64_t int_at(const reply& r, int row, int column);
/// Rows that a statement without a result changed.
std::size_t affected(const reply& r);

}  // namespace cpns::storage::postgres
