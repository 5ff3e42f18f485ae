// What a durable row costs, alone and in the company of others: the other floor of an assignment.

#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "crypto/suite.hpp"
#include "storage/rocksdb_store.hpp"

namespace {

using namespace cpns;

void durable_rows(benchmark::State& state) {
  std::string folder = (std::filesystem::temp_directory_path() / "cpns-bench-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return state.SkipWithError("no temporary folder");
  {
    auto opened = storage::open_rocksdb_store(folder + "/store");
    if (!opened) return state.SkipWithError(opened.error().message().c_str());
    auto& random = crypto::system_entropy();
    const auto rows = static_cast<std::size_t>(state.range(0));
    for (auto _ : state) {
      state.PauseTiming();
      storage::write_batch batch;
      for (std::size_t i = 0; i < rows; ++i)
        batch.push_back({storage::table::entities, to_bytes(random.draw<32>()), bytes(1300)});
      state.ResumeTiming();
      if (const auto wrote = (*opened)->write(batch); !wrote)
        return state.SkipWithError(wrote.error().message().c_str());
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
  }
  std::filesystem::remove_all(folder);
}
BENCHMARK(durable_rows)->Arg(1)->Arg(16)->Arg(64)->Arg(256)->UseRealTime();

}  // namespace
