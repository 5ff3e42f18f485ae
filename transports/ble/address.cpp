#include "transports/ble/address.hpp"

#include <algorithm>
#include <cstdio>

namespace cpns::ble {

std::optional<address> address::parse(const std::string& text, const std::string& kind) {
  address out;
  out.random = kind == "random";
  std::array<unsigned, 6> pairs{};
  int end = 0;
  if (std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%n", &pairs[5], &pairs[4], &pairs[3], &pairs[2],
                  &pairs[1], &pairs[0], &end) != 6 ||
      static_cast<std::size_t>(end) != text.size())
    return std::nullopt;
  std::transform(pairs.begin(), pairs.end(), out.bytes.begin(),
                 [](unsigned p) { return static_cast<std::uint8_t>(p); });
  return out;
}

std::string address::text() const {
  char out[18];
  std::snprintf(out, sizeof out, "%02X:%02X:%02X:%02X:%02X:%02X", bytes[5], bytes[4], bytes[3], bytes[2],
                bytes[1], bytes[0]);
  return random ? std::string{out} + "/random" : std::string{out};
}

}  // namespace cpns::ble
