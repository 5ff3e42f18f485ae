#pragma once
// Helpers of the tests with a real PostgreSQL.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "storage/postgres/postgres_store.hpp"
#include "tests/support/postgres_server.hpp"

namespace cpns::storage::testing {

using test::comes_true;
using test::postgres_server;

inline postgres_server& server() { return postgres_server::instance(); }

inline bytes b(std::string_view text) { return to_bytes(as_bytes(text)); }
inline write_op put(std::string_view row, std::uint64_t expected, std::string_view value,
                    table t = table::users) {
  return {t, b(row), expected, b(value)};
}
inline write_op erase(std::string_view row, std::uint64_t expected, table t = table::users) {
  return {t, b(row), expected, std::nullopt};
}

/// Of a result: "ok", or the name of the error's code.
template <class T>
std::string code(const T& r) {
  return r ? "ok" : std::string(name_of(r.error().code));
}
template <class T>
std::string said(const T& r) {
  return r ? "ok" : r.error().message();
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// "3:value"; "(none)" if the row does not exist.
inline std::string read(const store& s, std::string_view row, table t = table::users) {
  const auto got = s.get(t, as_bytes(row));
  if (!got) return "(error) " + got.error().message();
  return *got ? std::to_string((*got)->version) + ":" + std::string(as_text((*got)->value)) : "(none)";
}

/// "ok conflict ok": the outcomes of batches.
inline std::string outcomes(store& s, const std::vector<write_batch>& batches) {
  std::string out;
  for (const auto& o : s.write(batches)) {
    const auto text = o                                   ? "ok"
                      : o.error() == errc::store_conflict ? "conflict"
                                                          : std::string(name_of(o.error().code));
    out += (out.empty() ? "" : " ") + text;
  }
  return out;
}

inline std::unique_ptr<store> open(const postgres_settings& s) {
  auto out = open_postgres_store(s);
  if (!out) ADD_FAILURE() << out.error().message();
  return out ? std::move(*out) : nullptr;
}

/// Limits that let a test with an unreachable server end soon.
inline postgres_settings impatient(postgres_settings s) {
  s.dial = milliseconds(500);
  s.statement = milliseconds(500);
  s.retry = milliseconds(500);
  s.doubt = milliseconds(1500);
  return s;
}

}  // namespace cpns::storage::testing
