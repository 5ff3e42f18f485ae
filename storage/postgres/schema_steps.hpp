#pragma once
// The versions of the tables of a PostgreSQL store.
//
// Nodes of two releases run on one database while a cluster is upgraded. So a version is made in two steps, which are far
// apart in time. To expand adds what the new release needs, and programs that know the version before go on. To contract
// removes what they alone needed, and none of them may run any more.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "storage/postgres/settings.hpp"

namespace cpns::storage {

struct schema_step {
  using statements = std::vector<std::string>;
  std::uint64_t version;
  /// The statements may be repeated, and leave all statements of programs that know version - 1 valid.
  statements (*expand)(postgres_statements dialect);
  /// nullptr: nothing is removed. The statements may be repeated, and make a write of a program that knows version - 1
  /// alone fail, if they change what its rows mean.
  statements (*contract)(postgres_statements dialect);
};

/// All versions that this program knows, from 1 on without a gap. In an object of its own: a program of the tests that
/// has another definition is another release.
std::span<const schema_step> schema_steps();

/// Version 1: one table for each of all_tables.
schema_step::statements first_tables(postgres_statements dialect);

}  // namespace cpns::storage
