#pragma once
// `cpns store restored`: a server's store was replaced by a backup, so the next generations of keys skip ahead.

#include <cstdint>
#include <filesystem>
#include <optional>

#include "audit/entry.hpp"
#include "base/result.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::cli {

struct restored_incarnation {
  std::uint64_t before = 0, now = 0;
};
/// Raises the incarnation in the store of a stopped server by one, or to `wanted`, which must be higher than it; durable on
/// return, and recorded in the audit trail. store_locked if the server runs; state_unknown if it never started;
/// config_range if `wanted` is not higher; errors of the configuration, the store and the trail.
result<restored_incarnation> raise_incarnation(const std::filesystem::path& config_file,
                                               std::optional<std::uint64_t> wanted);

/// The action in the audit trail.
inline constexpr const char* store_restored = "store-restored";
/// What became of it, if its outcome is missing.
audit::outcome resolve_restored(const storage::sealed_store& store, const audit::unfinished& u);

}  // namespace cpns::cli
