#include "base/psk_identity.hpp"

#include <algorithm>
#include <cstddef>

namespace cpns {

bool is_psk_identity(std::string_view text) {
  constexpr std::size_t name_max = 64;
  if (!text.starts_with(psk_identity_prefix)) return false;
  const auto name = text.substr(psk_identity_prefix.size());
  return !name.empty() && name.size() <= name_max && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

}  // namespace cpns
