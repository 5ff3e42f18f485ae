#pragma once
// Helpers of the storage tests.

#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <map>
#include <string>

#include "crypto/suite.hpp"
#include "storage/sealed_store.hpp"
#include "tests/support/temporary_folder.hpp"

namespace cpns::storage::testing {

using test::temporary_folder;

inline entropy& random_source() { return crypto::system_entropy(); }

inline bytes b(std::string_view text) { return to_bytes(as_bytes(text)); }
/// An op for write() below, which expects the version that the row has.
inline write_op put(table t, std::string_view row, std::string_view value) {
  return {t, b(row), 0, b(value)};
}
inline write_op erase(table t, std::string_view row) { return {t, b(row), 0, std::nullopt}; }
/// One batch of ops that replace any version.
inline status write(store& s, write_batch batch) {
  for (auto& op : batch) {
    CPNS_TRY(const auto now, s.get(op.table, op.row));
    op.expected = now ? now->version : 0;
  }
  return s.write_one(std::move(batch));
}
inline sealed_op seal(table t, std::string_view row, std::string_view value) {
  return {t, b(row), secret_bytes::from_text(value)};
}

/// The value as text; "(none)" if the row does not exist, "(error) ..." if it cannot be read.
inline std::string read(const store& s, table t, std::string_view row) {
  const auto got = s.get(t, as_bytes(row));
  if (!got) return "(error) " + got.error().message();
  return *got ? std::string(as_text((*got)->value)) : "(none)";
}
inline std::string read(const sealed_store& s, table t, std::string_view row) {
  const auto got = s.get(t, as_bytes(row));
  if (!got) return "(error) " + got.error().message();
  return *got ? std::string(as_text((*got)->expose())) : "(none)";
}

using rows = std::map<std::string, std::string>;
inline rows scan(const store& s, table t, std::string_view prefix = {}) {
  rows found;
  const auto done = s.scan(t, as_bytes(prefix), [&](const stored_row& row) {
    found.emplace(as_text(row.row), as_text(row.value));
    return true;
  });
  EXPECT_TRUE(done) << done.error().message();
  return found;
}

inline std::string content_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void set_content(const std::filesystem::path& file, std::string_view text) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << text;
}

template <class T>
::testing::AssertionResult is_ok(const result<T>& r) {
  if (r) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << r.error().message();
}

/// The name of the error's code, or "ok".
template <class T>
std::string code(const result<T>& r) {
  return r ? "ok" : std::string(name_of(r.error().code));
}

}  // namespace cpns::storage::testing

#define EXPECT_OK(...) EXPECT_TRUE(::cpns::storage::testing::is_ok(__VA_ARGS__))
#define ASSERT_OK(...) ASSERT_TRUE(::cpns::storage::testing::is_ok(__VA_ARGS__))
