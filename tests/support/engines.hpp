#pragma once
// The engines on which a test of a store runs.

#include <gtest/gtest.h>

#include "storage/memory_store.hpp"
#include "storage/postgres/postgres_store.hpp"
#include "storage/rocksdb_store.hpp"
#include "tests/support/postgres_server.hpp"

namespace cpns::test {

enum class engine : std::uint8_t { memory, rocksdb, postgres_batch, postgres_portable };

inline const char* name_of(engine e) {
  switch (e) {
  case engine::memory: return "memory";
  case engine::rocksdb: return "rocksdb";
  case engine::postgres_batch: return "postgres_batch";
  case engine::postgres_portable: return "postgres_portable";
  }
  std::abort();
}

/// All engines, for INSTANTIATE_TEST_SUITE_P(name, suite, every_engine(), engine_name).
inline auto every_engine() {
  return ::testing::Values(engine::memory, engine::rocksdb, engine::postgres_batch,
                           engine::postgres_portable);
}
inline std::string engine_name(const ::testing::TestParamInfo<engine>& tested) {
  return name_of(tested.param);
}

/// An empty store. `folder` is for RocksDB; PostgreSQL gets a database of its own.
inline std::unique_ptr<storage::store> open_engine(engine e, const std::filesystem::path& folder) {
  if (e == engine::memory) return std::make_unique<storage::memory_store>();
  const auto open = [&] {
    if (e == engine::rocksdb) return storage::open_rocksdb_store(folder);
    auto s = postgres_server::instance().fresh_store();
    s.statements = e == engine::postgres_batch ? storage::postgres_statements::batch
                                               : storage::postgres_statements::portable;
    return storage::open_postgres_store(s);
  };
  auto opened = open();
  if (!opened) std::abort();
  return std::move(*opened);
}

}  // namespace cpns::test
