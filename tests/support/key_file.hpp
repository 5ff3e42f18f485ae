#pragma once
// A key protector that costs nothing to use: stretching a passphrase takes longer than most tests.

#include <memory>

#include "storage/key_protector.hpp"
#include "tests/support/temporary_folder.hpp"

namespace cpns::test {

/// Of a key file that is made for it and removed again.
inline std::unique_ptr<storage::key_protector> key_file_protector(entropy& random) {
  const temporary_folder folder;
  if (!storage::create_key_file(folder / "key", random)) std::abort();
  return storage::open_key_file(folder / "key").value();
}

}  // namespace cpns::test
