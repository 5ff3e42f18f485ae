#pragma once
// SCRAM-SHA-256 (RFC 5802, RFC 7677) as steps 4 and 5 use it: the "hashed user password" is a proof over the
// TLS connection and the request. The gateway keeps ClientKey, the server StoredKey; neither keeps the
// password.

#include "base/ids.hpp"
#include "base/secret.hpp"
#include "crypto/suite.hpp"

namespace cpns::crypto {

inline constexpr std::uint32_t scram_iterations_default = 310'000;
inline constexpr std::uint32_t scram_iterations_min = 100'000;  ///< a gateway refuses fewer
inline constexpr std::uint32_t scram_iterations_max = 10'000'000;

/// ClientKey = HMAC(Hi(password, salt, i), "Client Key"). The password's UTF-8 bytes are used unchanged, without
/// SASLprep.
secret32 scram_client_key(const suite& s, byte_view password, byte_view salt, std::uint32_t iterations);
/// StoredKey = H(ClientKey)
digest scram_stored_key(const suite& s, const secret32& client_key);

/// AuthMessage = E(["cpns/1 proof", tls_exporter(32), H(request with proof null)])
bytes scram_auth_message(const secret32& exporter, const digest& request_hash);
/// ClientProof = ClientKey XOR HMAC(StoredKey, AuthMessage)
byte_array<32> scram_proof(const suite& s, const secret32& client_key, byte_view auth_message);
/// H(ClientProof XOR HMAC(StoredKey, AuthMessage)) == StoredKey, in constant time.
bool scram_verify(const suite& s, const digest& stored_key, byte_view auth_message,
                  const byte_array<32>& proof);

/// A salt for a user that does not exist: constant for each name and not distinguishable from a real one.
byte_array<16> scram_fake_salt(const suite& s, const secret32& key, const user_id& user);

}  // namespace cpns::crypto
