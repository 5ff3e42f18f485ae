#pragma once
// Every error code, grouped by the party at fault, with its sentence. The group alone decides how a caller
// reacts.

#include <cstdint>
#include <string_view>

namespace cpns {

// clang-format off
#define CPNS_ERRORS(X)                                                                                       \
  /* 100 peer: a well formed message that is not acceptable */                                               \
  X(peer_bad_state,        100, "the message does not fit the state of the exchange")                        \
  X(peer_bad_tag,          101, "an authentication tag does not verify")                                     \
  X(peer_stale,            102, "the message belongs to a past exchange")                                    \
  X(peer_policy,           104, "the local policy does not accept the peer's offer")                         \
  X(peer_identity,         105, "the identity in a certificate is not accepted")                             \
  X(peer_timeout,          106, "the peer did not answer in time")                                           \
  X(peer_closed,           107, "the peer closed the connection")                                            \
  /* 200 wire: bytes that are not a valid message */                                                         \
  X(wire_truncated,        200, "the message ends too early")                                                \
  X(wire_trailing,         201, "bytes follow the end of the message")                                       \
  X(wire_type,             202, "an element has the wrong type")                                             \
  X(wire_length,           203, "an element has the wrong length")                                           \
  X(wire_non_minimal,      204, "an integer or a length is not in its shortest form")                        \
  X(wire_indefinite,       205, "indefinite lengths are not allowed")                                        \
  X(wire_oversized,        207, "the message is larger than its bound")                                      \
  X(wire_unknown_message,  208, "unknown message type")                                                      \
  X(wire_range,            209, "a number is out of range")                                                  \
  X(wire_order,            210, "the elements are not strictly ascending")                                   \
  X(wire_utf8,             211, "a text is not valid UTF-8")                                                 \
  X(wire_grammar,          212, "a text does not follow its grammar")                                        \
  /* 300 crypto */                                                                                           \
  X(crypto_failed,         300, "a cryptographic operation failed")                                          \
  X(crypto_open_failed,    301, "the ciphertext cannot be decrypted with this key")                          \
  X(crypto_weak,           302, "a value is too weak")                                                       \
  X(crypto_certificate,    303, "a certificate or key cannot be used")                                       \
  /* 400 state: the current state does not allow it */                                                       \
  X(state_unknown,         400, "not found")                                                                 \
  X(state_exists,          401, "already exists")                                                            \
  X(state_conflict,        402, "conflicts with the current state")                                          \
  X(state_exhausted,       403, "exhausted")                                                                 \
  X(state_overloaded,      404, "overloaded")                                                                \
  X(state_stopping,        405, "shutting down")                                                             \
  /* 500 store */                                                                                            \
  X(store_unavailable,     500, "the store cannot be opened")                                                \
  X(store_locked,          501, "the store is in use by another process")                                    \
  X(store_damaged,         502, "the store is damaged")                                                      \
  X(store_full,            503, "the disk is full")                                                          \
  X(store_write_failed,    504, "the write to the store failed")                                             \
  X(store_sealed,          505, "a sealed record cannot be decrypted with this key")                         \
  X(store_key,             506, "the store's key cannot be used")                                            \
  X(store_conflict,        507, "another writer changed the row")                                            \
  /* 600 config and command line */                                                                          \
  X(config_syntax,         600, "syntax error")                                                              \
  X(config_unknown_key,    601, "unknown key")                                                               \
  X(config_type,           602, "the value has the wrong type")                                              \
  X(config_range,          603, "the value is out of range")                                                 \
  X(config_missing,        604, "a required value is missing")                                               \
  X(config_file,           605, "a file cannot be read or written")                                          \
  X(config_usage,          606, "invalid command line")                                                      \
  /* 700 plugin */                                                                                           \
  X(plugin_load,           700, "the plugin cannot be loaded")                                               \
  X(plugin_incompatible,   701, "the plugin was built for another version of the interface")                 \
  X(plugin_crashed,        702, "the plugin crashed")                                                        \
  X(plugin_hung,           703, "the plugin did not return in time")                                         \
  X(plugin_failed,         704, "the plugin reported a failure")                                             \
  X(plugin_misbehaved,     705, "the plugin broke a rule of the interface")                                  \
  X(plugin_link,           706, "the link is closed")                                                        \
  /* 900 internal */                                                                                         \
  X(internal,              900, "internal error, please report it")
// clang-format on

enum class errc : std::uint16_t {
#define CPNS_X(name, number, text) name = number,
  CPNS_ERRORS(CPNS_X)
#undef CPNS_X
};

/// The party at fault.
enum class fault : std::uint8_t { peer = 1, wire, crypto, state, store, config, plugin, internal = 9 };

constexpr fault fault_of(errc e) { return static_cast<fault>(static_cast<std::uint16_t>(e) / 100); }

/// The identifier, as in the enum.
constexpr std::string_view name_of(errc e) {
  switch (e) {
#define CPNS_X(name, number, text)                                                                           \
  case errc::name: return #name;
    CPNS_ERRORS(CPNS_X)
#undef CPNS_X
  }
  return "internal";
}

/// The sentence.
constexpr std::string_view sentence_of(errc e) {
  switch (e) {
#define CPNS_X(name, number, text)                                                                           \
  case errc::name: return text;
    CPNS_ERRORS(CPNS_X)
#undef CPNS_X
  }
  return "internal error, please report it";
}

}  // namespace cpns
