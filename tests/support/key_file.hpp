#pragma once
// A cheap key protector for tests: PBKDF2 for a passphrase takes longer than most tests.

#include <memory>

#include "storage/key_protector.hpp"
#include "tests/support/temporary_folder.hpp"

namespace cpns::test {

/// Reads a temporary key file, which is removed again.
inline std::unique_ptr<storage::key_protector> key_file_protector(entropy& random) {
  const temporary_folder folder;
  if (!storage::create_key_file(folder / "key", random)) std::abort();
  return storage::open_key_file(folder / "key").value();
}

}  // namespace cpns::test
