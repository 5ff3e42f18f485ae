#pragma once
// From a user's password to what the gateway keeps instead of it.

#include <cstdint>
#include <filesystem>

#include "actors/pn_gw/key_store.hpp"
#include "protocol/messages.hpp"

namespace cpns::actors {

/// Reads the password, the first line of `file`, and derives ClientKey. peer_policy if the
/// server wants fewer than 100,000 iterations, or more than 10,000,000; config_missing or config_file if the
/// password cannot be read, or if others may read it. About 80 ms.
result<user_credentials> credentials_from_password(const user_id& user,
                                                   const protocol::user_challenge_answer& challenge,
                                                   const std::filesystem::path& file);

/// When the password file was written last; 0 if there is none. Only comparable with itself: another value is
/// the user's word that the password may be another one.
std::int64_t password_time(const std::filesystem::path& file);

}  // namespace cpns::actors
