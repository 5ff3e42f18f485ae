#pragma once
// The steps of releases that do not exist yet, in place of the library's.

#include <cstddef>

namespace cpns::storage::testing {

constexpr std::size_t last_release = 3;

/// The version that the running release knows: 1 to last_release.
extern std::size_t known;

}  // namespace cpns::storage::testing
