#pragma once
// Changes the key-encryption key: wraps data keys for another protector. The data keys stay, and so does everything
// that they seal.
//
// A role may have several data keys (a PNE with a key file for each device), and no single write covers all of them.
// So each one is wrapped by itself, durably, and a call that was interrupted is repeated: a data key that only the
// new protector unwraps is done. Both protectors are needed until a call succeeds.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/entropy.hpp"
#include "base/result.hpp"
#include "storage/key_protector.hpp"

namespace cpns::storage {

/// The place of one wrapped data key. Objects to which the functions refer must outlive it.
struct key_place {
  std::string name;                                    ///< for messages: a file, or the folder of a store
  std::string purpose;                                 ///< of the wrapping
  std::function<result<std::optional<bytes>>()> read;  ///< nullopt: the data key does not exist yet
  std::function<status(const bytes& wrapped)> write;   ///< durable on return
};

struct rewrap_report {
  std::size_t rewrapped = 0;  ///< by this call
  std::size_t already = 0;    ///< the new protector unwrapped it before
  std::size_t absent = 0;     ///< no data key yet
};

/// The number of data keys. store_key if `protector` cannot unwrap one of them; errors of `read`.
result<std::size_t> check_keys(const std::vector<key_place>& places, const key_protector& protector);

/// Wraps the data keys for `to`. `written` is called after each durable write with the number of those that are
/// done. Nothing is changed after state_conflict (both protectors have the same key) and store_key (neither of them
/// unwraps a data key). After an error of `write` some data keys are rewrapped: repeat the call.
/// The caller holds the lock of the store or of the files.
result<rewrap_report> rewrap_keys(const std::vector<key_place>& places, const key_protector& from,
                                  const key_protector& to, entropy& random,
                                  const std::function<void(std::size_t done, std::size_t all)>& written = {});

}  // namespace cpns::storage
