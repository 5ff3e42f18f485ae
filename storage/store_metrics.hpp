#pragma once
// The metrics of a role's store and of its group commit.

#include <filesystem>

#include "metrics/registry.hpp"
#include "storage/group_commit.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::storage {

commit_metrics make_commit_metrics(metrics::registry& in);

/// Adds health, hints, size and free space of `store`, and the counters of `commits`; all outlive the last text() of `to`.
/// `folder`: of the store; empty: it is in memory.
void collect_store(metrics::registry& to, const sealed_store& store, const group_committer& commits,
                   std::filesystem::path folder);

}  // namespace cpns::storage
