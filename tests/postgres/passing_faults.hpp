#pragma once
// What a database can do wrong at a message of a store, with success when the store repeats it.

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/postgres_proxy.hpp"

namespace cpns::storage::testing {

using test::postgres_fault;
using test::postgres_message;

inline postgres_fault fault(postgres_fault::deed does, std::string sqlstate = {}, bool fatal = false) {
  postgres_fault out;
  out.does = does;
  out.sqlstate = std::move(sqlstate);
  out.fatal = fatal;
  return out;
}

/// What a database can do at any message, with success when it is repeated.
inline std::vector<postgres_fault> passing() {
  std::vector<postgres_fault> out;
  for (const auto* state : {"40001", "40P01", "55P03", "57014", "25006", "57P03", "53300", "08006"})
    out.push_back(fault(postgres_fault::deed::refuse, state));
  for (const auto* state : {"57P01", "53300", "XX000"})
    out.push_back(fault(postgres_fault::deed::refuse, state, true));
  out.push_back(fault(postgres_fault::deed::lose));
  out.push_back(fault(postgres_fault::deed::half));
  out.push_back(fault(postgres_fault::deed::report, "57P01"));
  out.push_back(fault(postgres_fault::deed::warn));
  return out;
}

/// The fault at the message `index` of a repetition of what was heard.
inline postgres_fault at(const std::vector<postgres_message>& heard, std::size_t index, postgres_fault f) {
  f.at = heard[index];
  const auto counts = [&](const postgres_message& m) {
    return m.type == f.at.type && (f.at.statement.empty() || m.statement == f.at.statement);
  };
  f.after = static_cast<std::size_t>(
      std::count_if(heard.begin(), heard.begin() + static_cast<std::ptrdiff_t>(index), counts));
  return f;
}

/// For the trace of a test that fails.
inline std::string fault_text(const postgres_fault& f) {
  return std::string(1, f.at.type) + " " + f.at.statement + " after " + std::to_string(f.after) + ": deed " +
         std::to_string(static_cast<int>(f.does)) + " " + f.sqlstate + (f.fatal ? " fatal" : "");
}

/// Whether the server may have committed when it answers the message.
inline bool commits(const postgres_message& m) {
  return m.type == 'S' ? m.statement != "begin" && m.statement != "rollback"
                       : m == postgres_message{'E', "commit"};
}

}  // namespace cpns::storage::testing
