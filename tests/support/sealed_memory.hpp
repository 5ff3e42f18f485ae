#pragma once
// A sealed store in memory with repeatable randomness, for tests that need no role.

#include <gtest/gtest.h>

#include "storage/memory_store.hpp"
#include "storage/sealed_store.hpp"
#include "tests/support/key_file.hpp"
#include "tests/support/seeded_entropy.hpp"

namespace cpns::test {

struct sealed_memory {
  explicit sealed_memory(std::uint64_t seed) : random(seed) {}

  /// Whatever version the row has.
  void put(storage::table t, std::string_view row, secret_bytes value) {
    ASSERT_TRUE(store->write({{t, to_bytes(as_bytes(row)), std::move(value)}}));
  }

  seeded_entropy random;
  storage::memory_store memory;
  std::unique_ptr<storage::key_protector> protector = key_file_protector(random);
  std::unique_ptr<storage::sealed_store> store =
      storage::sealed_store::open(memory, *protector, random).value();
};

}  // namespace cpns::test
