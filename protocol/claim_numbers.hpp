#pragma once
// The numbers of docs/protocol.md that bound what nothing verified.

#include <cstddef>

#include "base/clock.hpp"

namespace cpns::protocol {

inline constexpr std::size_t claims_max = 96;  ///< links of one entity, and answers to one DREQ
/// Claims begin one exchange in this time, and none so soon after a verified tag.
inline constexpr seconds claim_interval{10};
inline constexpr milliseconds request_interval{1000};  ///< one request of the server in this time and entity
inline constexpr std::size_t pne_links_max = 8;        ///< links of which a PNE keeps contexts and budget

}  // namespace cpns::protocol
