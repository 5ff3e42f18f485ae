#pragma once
// Every number of docs/protocol.md, with its unit. Configurable ones are defaults here.

#include <cstdint>

#include "base/clock.hpp"

namespace cpns::protocol {

using namespace std::chrono_literals;

inline constexpr std::uint8_t version = 1;

// Sizes, bytes.
inline constexpr std::size_t radio_message_max = 1024;
inline constexpr std::size_t link_message_max = 64 * 1024;
inline constexpr std::size_t nonce_size = 16;

// Suites of the radio link. The higher number is the stronger one.
inline constexpr std::uint8_t suite_symmetric = 1;  ///< gw_share is random, Z is zero
inline constexpr std::uint8_t suite_x25519 = 2;     ///< forward secrecy; default

// PNE.
inline constexpr seconds context_lifetime = 60s;  ///< exchange contexts and ephemeral keys
inline constexpr int context_count = 2;           ///< exchange contexts that a PNE keeps
inline constexpr seconds answer_interval = 1s;    ///< one DREQ answered a second ...
inline constexpr int answer_burst = 3;            ///< ... with this burst
inline constexpr std::uint32_t generation_jump_max = 256;
inline constexpr seconds unchained_window_default = 10min;

// PN GW.
inline constexpr std::uint32_t set_size_default = 32;        ///< EUKeys in one assignment
inline constexpr std::uint32_t low_water_default = 8;        ///< refill when so few are unused
inline constexpr std::uint32_t amnesia_budget_default = 24;  ///< unchained deliveries built a day and entity
inline constexpr std::uint32_t healing_reserve_default = 4;  ///< unused keys that amnesia never takes
inline constexpr milliseconds answer_timeout_default = 1000ms;
inline constexpr int retries_default = 5;
inline constexpr seconds notice_interval = 10s;  ///< at most one NOTE heeded in this time

// CPNS Server.
inline constexpr seconds issuer_slot = 60s;
inline constexpr int issuer_slots_back = 2;  ///< slots -2 to +1 are accepted
inline constexpr int issuer_slots_ahead = 1;
inline constexpr seconds rekey_default = 24h;
inline constexpr std::uint32_t keys_in_response_max = 256;
inline constexpr std::size_t reports_in_message_max = 256;

}  // namespace cpns::protocol
