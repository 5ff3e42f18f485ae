#pragma once
// The readable identity of an application key, and what may be in it; docs/protocol.md, section "Application keys".

#include <optional>
#include <string>
#include <string_view>

#include "base/ids.hpp"

namespace cpns::protocol {

inline constexpr std::size_t purpose_max = 16;  ///< bytes

/// Whether `text` can name a purpose: 1 to 16 of a-z, 0-9 and '-', and no '-' at the beginning.
bool is_purpose(std::string_view text);

struct application_identity {
  entity_id entity;
  epoch which;
  std::string purpose;
};

/// "dev.mac.0024befffe804ff1/3.8/mqtt": at most 94 bytes, without ':', ',', '+', '#' and spaces.
std::string readable_identity(const application_identity& of);
/// The inverse; nullopt if `text` is not what readable_identity() writes.
std::optional<application_identity> read_readable_identity(std::string_view text);

}  // namespace cpns::protocol
