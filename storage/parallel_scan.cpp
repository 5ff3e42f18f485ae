// sealed_store::scan_with: the decryption of a large table takes all processors.

#include <algorithm>
#include <atomic>
#include <future>
#include <system_error>
#include <vector>

#include "storage/sealed_keys.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::storage {

namespace {

/// Stored names are hashes, so each first byte has about as many rows as another one.
constexpr unsigned scan_parts = 256;

}  // namespace

status sealed_store::scan_with(std::size_t threads, table t, const shared_row_visitor& visit,
                               const damage_visitor& damaged) const {
  std::atomic<unsigned> next{0};
  std::atomic<bool> failed{false};
  const auto parts = [&]() -> status {
    const auto by = keys_->take_sealer();
    while (!failed) {
      const auto part = next++;
      if (part >= scan_parts) break;
      const auto prefix = static_cast<std::uint8_t>(part);
      auto done = under_.scan(t, {&prefix, 1}, [&](const stored_row& stored) {
        auto shown = admits(t, stored.row, stored.version);
        if (shown) shown = by->show_value(t, stored.row, stored.version, stored.value, visit);
        if (!shown) damaged(shown.error());
        return !failed;
      });
      if (!done) return done;
    }
    return {};
  };
  // An error of one thread ends the others.
  const auto work = [&]() -> status {
    try {
      auto done = parts();
      if (!done) failed = true;
      return done;
    } catch (...) {
      failed = true;
      throw;
    }
  };
  std::vector<std::future<status>> others;
  try {
    for (std::size_t i = 1; i < threads; ++i) others.push_back(std::async(std::launch::async, work));
  } catch (const std::system_error&) {
    // The system has no more threads: those that run do all of it.
  }
  auto out = work();
  for (auto& other : others)
    if (auto outcome = other.get(); out && !outcome) out = std::move(outcome);
  return out;
}

}  // namespace cpns::storage
