#pragma once
// The name of a gateway that authenticates by pre-shared key instead of a certificate (step 0).

#include <string_view>

namespace cpns {

/// All identities begin so, and no SAN URI of a gateway does: one name is one gateway, of one kind.
inline constexpr std::string_view psk_identity_prefix = "urn:cpns:psk:";

/// The prefix, then 1 to 64 of the characters A-Z a-z 0-9 . _ - [thread-safe]
bool is_psk_identity(std::string_view text);

}  // namespace cpns
