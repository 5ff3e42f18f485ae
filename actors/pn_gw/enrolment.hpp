#pragma once
// The gateway stores ClientKey, derived from the user's password, and never the password itself.

#include <cstdint>
#include <filesystem>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "protocol/messages.hpp"

namespace cpns::actors {

/// Stored in place of the user's password.
struct user_credentials {
  user_id user;
  byte_array<16> salt{};
  std::uint32_t iterations = 0;
  secret32 client_key;
  std::int64_t password_time = 0;  ///< password_time() of the file that client_key was derived from
};

inline constexpr std::size_t user_password_max = 1024;  ///< bytes

/// The first line of the file. config_missing without a file; config_file if it cannot be read, or if others may
/// read it.
result<secret_bytes> read_user_password(const std::filesystem::path& file);

/// Derives ClientKey; takes about 80 ms. `written` becomes password_time. peer_policy if the server requests fewer
/// than 100,000 or more than 10,000,000 iterations.
result<user_credentials> derive_credentials(const user_id& user,
                                            const protocol::user_challenge_answer& challenge,
                                            const secret_bytes& password, std::int64_t written);

/// Reads the password, the first line of `file`, and derives ClientKey; takes about 80 ms. peer_policy if the
/// server requests fewer than 100,000 or more than 10,000,000 iterations; config_missing or config_file if the
/// password cannot be read, or if others may read it.
result<user_credentials> credentials_from_password(const user_id& user,
                                                   const protocol::user_challenge_answer& challenge,
                                                   const std::filesystem::path& file);

/// SCRAM proof of the user for a request on the connection with this exporter secret.
byte_array<32> proof_of(const protocol::key_assignment_request& request, const user_credentials& c,
                        const secret32& exporter);

/// Modification time of the password file; 0 if there is none. Only for comparison: another value means that
/// the user wrote the file again, so the password may have changed.
std::int64_t password_time(const std::filesystem::path& file);

}  // namespace cpns::actors
