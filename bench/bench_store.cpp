// The cost of durable writes, single and in groups: the other floor of an assignment. Uses the disk of TMPDIR.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include "crypto/suite.hpp"
#include "storage/index_name.hpp"
#include "storage/rocksdb_store.hpp"
#include "storage/sealed_store.hpp"
#include "storage/secret_file.hpp"
#include "tests/support/key_file.hpp"
#include "tests/support/temporary_folder.hpp"

namespace {

using namespace cpns;

constexpr std::size_t row_size = 1500;       // the size of a sealed row with a set of 32 keys
constexpr std::size_t small_row_size = 860;  // with a set of 16

/// The disk alone: overwrites the bytes of one row in an existing file, and syncs.
void bare_fdatasync(benchmark::State& state) {
  const test::temporary_folder folder;
  const int fd = ::open((folder / "file").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  constexpr std::size_t rows = 4096;
  const bytes all(rows * row_size), row(row_size, 1);
  if (fd < 0 || ::write(fd, all.data(), all.size()) < 0 || ::fsync(fd) != 0)
    return state.SkipWithError("the file cannot be written");
  std::size_t i = 0;
  for (auto _ : state)
    if (::pwrite(fd, row.data(), row.size(), static_cast<off_t>(i++ % rows * row_size)) < 0 ||
        ::fdatasync(fd) != 0)
      return state.SkipWithError("the file cannot be synced");
  ::close(fd);
}

void write_rows(benchmark::State& state, std::size_t size) {
  const test::temporary_folder folder;
  auto opened = storage::open_rocksdb_store(folder / "store");
  if (!opened) return state.SkipWithError(opened.error().message().c_str());
  auto& random = crypto::system_entropy();
  const auto rows = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    state.PauseTiming();
    storage::write_batch batch;
    for (std::size_t i = 0; i < rows; ++i)
      batch.push_back({storage::table::entities, to_bytes(random.draw<32>()), 0, bytes(size)});
    state.ResumeTiming();
    if (const auto wrote = (*opened)->write_one(std::move(batch)); !wrote)
      return state.SkipWithError(wrote.error().message().c_str());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void durable_rows(benchmark::State& state) { write_rows(state, row_size); }
void durable_rows_of_16_keys(benchmark::State& state) { write_rows(state, small_row_size); }

/// First assignments as the group committer writes them: sealed, conditional, with rows of indexes of their own. The
/// arguments are the assignments per write and the index rows of each. CPU time of all threads.
void stored_assignments(benchmark::State& state) {
  const test::temporary_folder folder;
  auto opened = storage::open_rocksdb_store(folder / "store");
  if (!opened) return state.SkipWithError(opened.error().message().c_str());
  auto& random = crypto::system_entropy();
  const auto protector = test::key_file_protector(random);
  const auto store = storage::sealed_store::open(**opened, *protector, random).value();
  std::uint64_t number = 0;
  for (auto _ : state) {
    state.PauseTiming();
    std::vector<storage::sealed_batch> batches(static_cast<std::size_t>(state.range(0)));
    for (auto& batch : batches) {
      const auto name = "urn:dev:os:32473-" + std::to_string(++number);
      const auto found = store->read_one(storage::table::entities, as_bytes(name)).value();
      batch.push_back({storage::table::entities, to_bytes(as_bytes(name)), secret_bytes(bytes(row_size)), 0,
                       false, false, found.read_at});
      for (std::int64_t i = 0; i < state.range(1); ++i) {
        const storage::index_group group{static_cast<std::uint64_t>(i + 1), to_bytes(as_bytes("a group"))};
        batch.push_back({storage::table::indexes, storage::index_row(group, as_bytes(name)), secret_bytes{},
                         std::nullopt, true, false, found.read_at});
      }
    }
    state.ResumeTiming();
    for (const auto& wrote : store->write_all(batches))
      if (!wrote) return state.SkipWithError(wrote.error().message().c_str());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

/// A key change of a PNE: writes a new file, syncs, renames, and syncs the folder.
void key_file_saved(benchmark::State& state) {
  const test::temporary_folder folder;
  auto& random = crypto::system_entropy();
  auto file =
      storage::sealed_file::with_data_key(folder / "pne.key", "pne keys", random.draw_secret<32>(), random);
  const bytes content(150);
  for (auto _ : state)
    if (const auto saved = file.save(content); !saved)
      return state.SkipWithError(saved.error().message().c_str());
}

BENCHMARK(bare_fdatasync)->UseRealTime();
BENCHMARK(durable_rows)->Arg(1)->Arg(16)->Arg(64)->Arg(256)->MeasureProcessCPUTime()->UseRealTime();
BENCHMARK(durable_rows_of_16_keys)->Arg(64)->MeasureProcessCPUTime()->UseRealTime();
BENCHMARK(stored_assignments)->ArgsProduct({{1, 64}, {0, 2}})->MeasureProcessCPUTime()->UseRealTime();
BENCHMARK(key_file_saved)->UseRealTime();

}  // namespace
