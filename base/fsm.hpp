#pragma once
// A state machine as a constexpr table that fits on a screen. A line of the table answers one event for a set
// of states; expand() makes one row per (state, event) of the lines, and the compiler proves that each pair
// is answered exactly once, that each state can be reached, and that no line could be part of another one.
// The pages in docs/state-machines/ are drawn from the same rows.

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace cpns::fsm {

/// What a machine does with an event.
enum class verdict : std::uint8_t {
  accept,  ///< the action runs and the machine goes to `to`
  ignore,  ///< expected and without effect (a repeated message, a timer that no longer matters)
  reject,  ///< not acceptable in this state: counted and logged, the state stays
};

/// State, Event and Action are enums that count from 0 and end with `count_` (see base/named_enum.hpp).
template <class Enum>
constexpr std::size_t count = static_cast<std::size_t>(Enum::count_);

template <class Enum>
constexpr std::size_t index_of(Enum v) {
  return static_cast<std::size_t>(v);
}

/// A set of states.
template <class State>
struct state_set {
  std::uint32_t bits = 0;

  constexpr state_set() = default;
  constexpr state_set(std::initializer_list<State> states) {
    for (const auto s : states) bits |= std::uint32_t{1} << index_of(s);
  }
  [[nodiscard]] constexpr bool has(State s) const { return (bits >> index_of(s) & 1) != 0; }
  static_assert(count<State> <= 32);
};

/// All states but those of `without`.
template <class State>
constexpr state_set<State> all_but(std::initializer_list<State> without) {
  state_set<State> out;
  out.bits = ((std::uint64_t{1} << count<State>)-1) & ~state_set<State>{without}.bits;
  return out;
}

/// A line of a table: in each state of `from` the machine answers `event` like this.
template <class State, class Event, class Action>
struct line {
  Event event;
  state_set<State> from;
  verdict what;
  Action action;
  std::optional<State> to;  ///< nullopt: the state stays
  /// accept: step of the change request, or section of docs/protocol.md. Otherwise: why the event has no
  /// effect.
  std::string_view note;
};

/// The answer to one event in one state.
template <class State, class Event, class Action>
struct row {
  State from;
  Event event;
  verdict what;
  Action action;
  State to;
  std::string_view note;
};

/// How many lines answer (`s`, `e`).
template <class State, class Event, class Action, std::size_t N>
constexpr std::size_t answers(const std::array<line<State, Event, Action>, N>& table, State s, Event e) {
  std::size_t found = 0;
  for (const auto& l : table)
    if (l.event == e && l.from.has(s)) ++found;
  return found;
}

/// Every (state, event) is answered by exactly one line, and an event that is not accepted keeps the state.
template <class State, class Event, class Action, std::size_t N>
constexpr bool is_total(const std::array<line<State, Event, Action>, N>& table) {
  for (std::size_t s = 0; s < count<State>; ++s)
    for (std::size_t e = 0; e < count<Event>; ++e)
      if (answers(table, static_cast<State>(s), static_cast<Event>(e)) != 1) return false;
  for (const auto& l : table)
    if (l.what != verdict::accept && l.to) return false;
  return true;
}

/// No line is empty, and no two lines could be one: those of an event differ in more than their states.
template <class State, class Event, class Action, std::size_t N>
constexpr bool is_minimal(const std::array<line<State, Event, Action>, N>& table) {
  for (std::size_t i = 0; i < N; ++i) {
    const auto& a = table[i];
    if (a.from.bits == 0 || a.note.empty()) return false;
    for (std::size_t j = i + 1; j < N; ++j) {
      const auto& b = table[j];
      if (a.event == b.event && a.what == b.what && a.action == b.action && a.to == b.to && a.note == b.note)
        return false;
    }
  }
  return true;
}

/// Row `index_of(state) * count<Event> + index_of(event)` for each pair. The table is total.
template <class State, class Event, class Action, std::size_t N>
constexpr auto expand(const std::array<line<State, Event, Action>, N>& table) {
  std::array<row<State, Event, Action>, count<State> * count<Event>> out{};
  for (std::size_t s = 0; s < count<State>; ++s)
    for (const auto& l : table) {
      const auto from = static_cast<State>(s);
      if (l.from.has(from))
        out[s * count<Event> + index_of(l.event)] = {from,  l.event, l.what, l.action, l.to.value_or(from),
                                                     l.note};
    }
  return out;
}

/// Every state can be reached from `start` by rows that accept.
template <class State, class Event, class Action, std::size_t N>
constexpr bool is_reachable(const std::array<row<State, Event, Action>, N>& rows, State start) {
  std::array<bool, count<State>> seen{};
  seen[index_of(start)] = true;
  for (std::size_t round = 0; round < count<State>; ++round)
    for (const auto& r : rows)
      if (r.what == verdict::accept && seen[index_of(r.from)]) seen[index_of(r.to)] = true;
  for (const bool s : seen)
    if (!s) return false;
  return true;
}

/// The row that answers (`from`, `event`).
template <class State, class Event, class Action, std::size_t N>
constexpr const row<State, Event, Action>& find(const std::array<row<State, Event, Action>, N>& rows,
                                                State from, Event event) {
  static_assert(N == count<State> * count<Event>);
  return rows[index_of(from) * count<Event> + index_of(event)];
}

/// For logs: "deliver does not fit state asleep: no answer is at hand to deliver to".
template <class State, class Event, class Action>
std::string refusal_text(const row<State, Event, Action>& r) {
  return std::string{name_of(r.event)} + " does not fit state " + std::string{name_of(r.from)} + ": " +
         std::string{r.note};
}

}  // namespace cpns::fsm
