#pragma once
// The numbers of docs/protocol.md, with their units. `_default`: configurable.

#include <cstddef>
#include <cstdint>

#include "base/clock.hpp"

namespace cpns::protocol {

using namespace std::chrono_literals;

inline constexpr std::uint8_t version = 1;

// Sizes, bytes.
inline constexpr std::size_t radio_message_max = 1024;
inline constexpr std::size_t link_message_max = 64 * 1024;

// Suites of the radio link. A higher number is stronger.
inline constexpr std::uint8_t suite_symmetric = 1;  ///< gw_share is random, Z is zero
inline constexpr std::uint8_t suite_x25519 = 2;     ///< forward secrecy; default

// PNE.
inline constexpr seconds context_lifetime = 60s;  ///< exchange contexts and ephemeral keys
inline constexpr int context_count = 2;           ///< exchange contexts per link
inline constexpr std::size_t pne_links_max = 8;   ///< links with contexts and budget
inline constexpr seconds answer_interval = 1s;    ///< one DREQ answered per interval ...
inline constexpr int answer_burst = 3;            ///< ... with this burst
inline constexpr std::uint32_t generation_jump_max = 256;
inline constexpr seconds unchained_window_default = 10min;

// PN GW.
inline constexpr std::uint32_t set_size_default = 32;        ///< EUKeys in one assignment
inline constexpr std::uint32_t low_water_default = 8;        ///< refill at this number of unused keys
inline constexpr std::uint32_t amnesia_budget_default = 24;  ///< unchained deliveries per day and entity
inline constexpr std::uint32_t healing_reserve_default = 4;  ///< unused keys that amnesia never uses
inline constexpr milliseconds answer_timeout_default = 1000ms;
inline constexpr int retries_default = 5;
inline constexpr seconds notice_interval = 10s;  ///< one NOTE accepted per interval
inline constexpr std::size_t claims_max = 96;    ///< links per entity, and answers per DREQ
inline constexpr seconds claim_interval{10};     ///< between exchanges that claims begin, and after a proof
inline constexpr milliseconds request_interval{1000};  ///< between requests to the server, per entity

// CPNS Server.
inline constexpr seconds issuer_slot = 60s;
inline constexpr int issuer_slots_back = 2;  ///< slots -2 to +1 are accepted
inline constexpr int issuer_slots_ahead = 1;
inline constexpr seconds rekey_default = 24h;
inline constexpr std::uint32_t keys_in_response_max = 256;
inline constexpr std::size_t reports_in_message_max = 256;

// Several servers with the same devices.
inline constexpr std::size_t nodes_max = 32;          ///< addresses in Nodes, and addresses that a GW learns
inline constexpr milliseconds drain_within_max = 1h;  ///< of Drain
inline constexpr seconds node_memory = 24h;  ///< a learned address that no server confirms is forgotten

}  // namespace cpns::protocol
