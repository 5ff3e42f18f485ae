#pragma once
// Every error that can be met, grouped by who is at fault, a sentence each. The group alone tells a caller
// what to do.

#include <cstdint>
#include <string_view>

namespace cpns {

// clang-format off
#define CPNS_ERRORS(X)                                                                                       \
  /* 100 peer: the other side said something that is well formed and not acceptable */                       \
  X(peer_bad_state,        100, "the message does not fit the state of the exchange")                        \
  X(peer_bad_tag,          101, "an authentication tag does not verify")                                     \
  X(peer_stale,            102, "the message belongs to an exchange that is over")                           \
  X(peer_refused,          103, "the peer refused the request")                                              \
  X(peer_policy,           104, "the local policy does not accept what the peer offers")                     \
  X(peer_identity,         105, "the peer is not who it claims to be")                                       \
  X(peer_timeout,          106, "the peer did not answer in time")                                           \
  X(peer_closed,           107, "the peer closed the connection")                                            \
  /* 200 wire: bytes that are not a message of ours */                                                       \
  X(wire_truncated,        200, "the message ends too early")                                                \
  X(wire_trailing,         201, "bytes follow the end of the message")                                       \
  X(wire_type,             202, "an element has the wrong type")                                             \
  X(wire_length,           203, "an element has the wrong length")                                           \
  X(wire_non_minimal,      204, "an integer or a length is not in its shortest form")                        \
  X(wire_indefinite,       205, "indefinite lengths are not allowed")                                        \
  X(wire_depth,            206, "the message is nested too deeply")                                          \
  X(wire_oversized,        207, "the message is larger than its bound")                                      \
  X(wire_unknown_message,  208, "the message type is not known")                                             \
  X(wire_range,            209, "a number is out of its range")                                              \
  X(wire_order,            210, "elements do not ascend, or one is repeated")                                \
  X(wire_utf8,             211, "a text is not valid UTF-8")                                                 \
  X(wire_grammar,          212, "a text does not follow its grammar")                                        \
  /* 300 crypto */                                                                                           \
  X(crypto_failed,         300, "a cryptographic operation failed")                                          \
  X(crypto_open_failed,    301, "the ciphertext does not open under this key")                               \
  X(crypto_weak,           302, "a value is too weak to be used")                                            \
  X(crypto_certificate,    303, "a certificate or key cannot be used")                                       \
  /* 400 state: what we remember does not allow it */                                                        \
  X(state_unknown,         400, "there is no such entry")                                                    \
  X(state_exists,          401, "there is such an entry already")                                            \
  X(state_conflict,        402, "the entry was changed or is used for something else")                       \
  X(state_exhausted,       403, "nothing is left to use")                                                    \
  X(state_overloaded,      404, "there is too much work in hand")                                            \
  X(state_stopping,        405, "the role is stopping")                                                      \
  /* 500 store */                                                                                            \
  X(store_unavailable,     500, "the store cannot be opened")                                                \
  X(store_locked,          501, "the store is in use by another process")                                    \
  X(store_damaged,         502, "the store is damaged")                                                      \
  X(store_full,            503, "there is no room left on the device")                                       \
  X(store_write_failed,    504, "the store did not take the write")                                          \
  X(store_sealed,          505, "a sealed record does not open with this key")                               \
  X(store_key,             506, "the store's key cannot be used")                                            \
  /* 600 config and command line */                                                                          \
  X(config_syntax,         600, "the file is not well formed")                                               \
  X(config_unknown_key,    601, "the key is not known")                                                      \
  X(config_type,           602, "the value has the wrong type")                                              \
  X(config_range,          603, "the value is out of range")                                                 \
  X(config_missing,        604, "a required value is missing")                                               \
  X(config_file,           605, "a file cannot be read or written")                                          \
  X(config_usage,          606, "the command line is not understood")                                        \
  /* 700 plugin */                                                                                           \
  X(plugin_load,           700, "the plugin cannot be loaded")                                               \
  X(plugin_incompatible,   701, "the plugin is built for another version of the interface")                  \
  X(plugin_crashed,        702, "the plugin crashed")                                                        \
  X(plugin_hung,           703, "the plugin did not return in time")                                         \
  X(plugin_failed,         704, "the plugin reported a failure")                                             \
  X(plugin_misbehaved,     705, "the plugin broke a rule of the interface")                                  \
  X(plugin_link,           706, "the link is gone")                                                          \
  /* 900 internal */                                                                                         \
  X(internal,              900, "an internal error, please report it")
// clang-format on

enum class errc : std::uint16_t {
#define CPNS_X(name, number, text) name = number,
  CPNS_ERRORS(CPNS_X)
#undef CPNS_X
};

/// Who is at fault.
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
  return "an internal error, please report it";
}

}  // namespace cpns
