#pragma once
// A state machine is a constexpr table, one row per (state, event), and the compiler proves that it is whole.
// The pages in docs/state-machines/ are drawn from the same rows.

#include <array>
#include <cstddef>
#include <string_view>

namespace cpns::fsm {

/// What a row does with its event.
enum class verdict : unsigned char {
  accept,  ///< the action runs and the machine goes to `to`
  ignore,  ///< expected and without effect (a repeated message, a timer that no longer matters)
  reject,  ///< not acceptable in this state: counted and logged, the state stays
};

/// State, Event and Action are enums that count from 0 and end with `count_`.
template <class State, class Event, class Action>
struct row {
  State from;
  Event event;
  verdict what;
  Action action;
  State to;
  std::string_view step;  ///< step of the change request, or the section of docs/protocol.md
};

template <class Enum>
constexpr std::size_t count = static_cast<std::size_t>(Enum::count_);

/// Every (state, event) is decided exactly once.
template <class State, class Event, class Action, std::size_t N>
constexpr bool is_total(const std::array<row<State, Event, Action>, N>& table) {
  for (std::size_t s = 0; s < count<State>; ++s)
    for (std::size_t e = 0; e < count<Event>; ++e) {
      std::size_t found = 0;
      for (const auto& r : table)
        if (static_cast<std::size_t>(r.from) == s && static_cast<std::size_t>(r.event) == e) ++found;
      if (found != 1) return false;
    }
  return N == count<State> * count<Event>;
}

/// Every state can be reached from `start` by rows that accept.
template <class State, class Event, class Action, std::size_t N>
constexpr bool is_reachable(const std::array<row<State, Event, Action>, N>& table, State start) {
  std::array<bool, count<State>> seen{};
  seen[static_cast<std::size_t>(start)] = true;
  for (std::size_t round = 0; round < count<State>; ++round)
    for (const auto& r : table)
      if (r.what == verdict::accept && seen[static_cast<std::size_t>(r.from)])
        seen[static_cast<std::size_t>(r.to)] = true;
  for (bool s : seen)
    if (!s) return false;
  return true;
}

/// The row that decides (`from`, `event`); the table is total.
template <class State, class Event, class Action, std::size_t N>
constexpr const row<State, Event, Action>& find(const std::array<row<State, Event, Action>, N>& table,
                                                State from, Event event) {
  for (const auto& r : table)
    if (r.from == from && r.event == event) return r;
  return table[0];
}

}  // namespace cpns::fsm
