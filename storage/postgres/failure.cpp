#include "storage/postgres/failure.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace cpns::storage::postgres {

namespace {

constexpr std::size_t said_bytes_max = 200;

std::string first_line(std::string_view text) {
  return without_controls(text.substr(0, std::min(text.find('\n'), said_bytes_max)));
}

/// Whether the transaction may be committed although the answer is an error: connection exceptions, and "statement completion
/// unknown".
bool says_unknown(std::string_view sqlstate) { return sqlstate.substr(0, 2) == "08" || sqlstate == "40003"; }

}  // namespace

trouble trouble_of(std::string_view sqlstate) {
  const auto group = sqlstate.substr(0, 2);
  // Two migrators at a time: the other one was faster.
  if (sqlstate == "42710" || sqlstate == "42P07") return trouble::again;
  // A cancelled statement (57014) was not committed: a cancelled wait for a standby is a warning.
  if (sqlstate == "40001" || sqlstate == "40P01" || sqlstate == "57014") return trouble::again;
  if (sqlstate == "55P03") return trouble::locked;
  if (sqlstate == "53100") return trouble::full;
  // Others that speak the protocol say so when they lost the server behind them, or the majority, during a commit.
  if (says_unknown(sqlstate)) return trouble::leave;
  if (sqlstate == "25006" || group == "57" || group == "53") return trouble::leave;
  if (group == "42" || group == "3F") return trouble::schema;
  if (group == "22" || group == "23" || group == "54" || group == "21") return trouble::data;
  return trouble::other;
}

failure server_failure(std::string_view sqlstate, std::string_view said) {
  const auto kind = trouble_of(sqlstate);
  const auto text = "the database says: " + first_line(said) + " (SQLSTATE " + std::string(sqlstate) + ")";
  if (says_unknown(sqlstate)) return {kind, errc::store_unavailable, text, true};
  switch (kind) {
  case trouble::full: return {kind, errc::store_full, text + "; free some space on the database's disk"};
  case trouble::schema:
    return {kind, errc::store_unavailable, text + "; run `cpns store migrate` with the migrator's role"};
  case trouble::again:
  case trouble::locked:
  case trouble::data:
  case trouble::other: return {kind, errc::store_write_failed, text};
  default: return {kind, errc::store_unavailable, text};
  }
}

error plain(const failure& why) {
  return {fault_of(why.code) == fault::store ? why.code : errc::store_unavailable, why.detail};
}

std::string masked(std::string_view said) {
  constexpr std::string_view before_cause = "failed: ";
  if (const auto at = said.rfind(before_cause); at != std::string_view::npos)
    said.remove_prefix(at + before_cause.size());
  std::string out;
  bool quoted = false;
  for (const char c : first_line(said)) {
    if (c == '"') {
      out += quoted ? "\"" : "\"...";
      quoted = !quoted;
    } else if (!quoted) {
      out += c;
    }
  }
  return out;
}

}  // namespace cpns::storage::postgres
