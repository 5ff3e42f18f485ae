#pragma once
// The mark of a store into which `cpns store import` has written a part of a file.
//
// A server that starts on such a store would refuse the devices that are still missing, and draw keys of its own that the
// import would then replace. So the mark is the first row of an import, each batch of rows moves it on, and the last batch
// removes it: until then neither a server nor a command works with the store.
//
// A command that was killed after that batch said nothing, and its user repeats it. So the last batch also writes a row
// that names the file; it stays.

#include <cstdint>
#include <optional>

#include "base/bytes.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::server {

struct unfinished_import {
  byte_array<16> file{};     ///< id of the exported file
  std::uint64_t chunks = 0;  ///< of the file that are in the store
};

struct import_mark {
  std::optional<unfinished_import> now;
  std::uint64_t version = 0;  ///< of its row
};

result<import_mark> find_import_mark(const storage::sealed_store& store);
/// The op that sets it, or removes it, if its row has the version `expected`.
storage::sealed_op set_import_mark(const std::optional<unfinished_import>& now, std::uint64_t expected);

struct finished_import {
  byte_array<16> file{};
  std::uint64_t incarnation = 0;  ///< as import_rows() returned it
};
/// nullopt: the rows of the store did not come from a file.
result<std::optional<finished_import>> find_finished_import(const storage::sealed_store& store);
storage::sealed_op op_of(const finished_import& done);

/// state_conflict, with the command that finishes the import.
status check_import_finished(const storage::sealed_store& store);

}  // namespace cpns::server
