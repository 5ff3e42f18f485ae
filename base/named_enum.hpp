#pragma once
// An enum, its names and the meaning of each value from one list, so that a value cannot be added without
// them.
//
//   #define CPNS_COLOURS(X) X(red, "stop") X(green, "go")
//   CPNS_NAMED_ENUM(colour, CPNS_COLOURS)
//
// declares `enum class colour : std::uint8_t { red, green, count_ }`, name_of(colour) and meaning_of(colour).
// A value that is not in the list (a damaged record, count_) has the name "?".

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#define CPNS_ENUMERATOR(id, meaning) id,
#define CPNS_ENUMERATOR_NAME(id, meaning) #id,
#define CPNS_ENUMERATOR_MEANING(id, meaning) meaning,

#define CPNS_NAMED_ENUM(type, LIST)                                                                          \
  enum class type : std::uint8_t { LIST(CPNS_ENUMERATOR) count_ };                                           \
  constexpr std::string_view name_of(type v) {                                                               \
    constexpr std::array<std::string_view, static_cast<std::size_t>(type::count_)> names{                    \
        LIST(CPNS_ENUMERATOR_NAME)};                                                                         \
    return v < type::count_ ? names[static_cast<std::size_t>(v)] : "?";                                      \
  }                                                                                                          \
  constexpr std::string_view meaning_of(type v) {                                                            \
    constexpr std::array<std::string_view, static_cast<std::size_t>(type::count_)> meanings{                 \
        LIST(CPNS_ENUMERATOR_MEANING)};                                                                      \
    return v < type::count_ ? meanings[static_cast<std::size_t>(v)] : "?";                                   \
  }

/// The same for numbers that are written down elsewhere (the wire, a store): X(id, number, meaning). Without
/// `count_`; a number that is not in the list has the name "unknown".
#define CPNS_NUMBERED_ENUMERATOR(id, number, meaning) id = number,
#define CPNS_NUMBERED_NAME(id, number, meaning)                                                              \
  case number:                                                                                               \
    return #id;

#define CPNS_NUMBERED_ENUM(type, LIST)                                                                       \
  enum class type : std::uint8_t { LIST(CPNS_NUMBERED_ENUMERATOR) };                                         \
  constexpr std::string_view name_of(type v) {                                                               \
    switch (static_cast<std::uint8_t>(v)) { LIST(CPNS_NUMBERED_NAME) }                                       \
    return "unknown";                                                                                        \
  }
