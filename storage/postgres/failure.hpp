#pragma once
// Failures of a database, by what a caller can do about them.

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace cpns::storage::postgres {

enum class trouble : std::uint8_t {
  unreachable,  ///< no host accepted a connection: nothing was sent
  lost,         ///< the connection ended, or no answer came in time
  leave,        ///< the server asks to use another one: it stops, or is read-only
  again,        ///< serialization failure or deadlock: the same statements may succeed now
  locked,       ///< another transaction holds a row, perhaps one whose client is gone
  full,         ///< no space
  schema,       ///< tables or rights are missing
  data,         ///< the server refused the values of this statement
  other,
};

/// Nothing of the transaction was done, unless in_doubt.
struct failure : error {
  trouble kind = trouble::other;
  bool in_doubt =
      false;  ///< a commit was sent, and its answer is missing or says that standbys may not have it

  failure(trouble k, errc c, std::string text, bool doubt = false)
      : error(c, std::move(text)), kind(k), in_doubt(doubt) {}
  /// The connection must be closed.
  [[nodiscard]] bool ends_connection() const { return kind == trouble::lost || kind == trouble::leave; }
};

/// For a caller of a store: all of its errors are of the store group.
error plain(const failure& why);

template <class T>
using outcome = tl::expected<T, failure>;

/// Class of an error that the server reported, by its SQLSTATE.
trouble trouble_of(std::string_view sqlstate);

/// The failure for a server's error. `said`: its primary message, which names no values.
failure server_failure(std::string_view sqlstate, std::string_view said);

/// A message of libpq about a connection, without names and addresses: the text behind the last "failed: ", with each
/// quoted part masked.
std::string masked(std::string_view said);

}  // namespace cpns::storage::postgres
