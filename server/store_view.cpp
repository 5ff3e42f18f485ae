#include "server/store_view.hpp"

#include <boost/json.hpp>

#include "config/describe.hpp"

namespace cpns::server {
namespace {

std::string_view word_of_hints(storage::hint_state s) {
  using enum storage::hint_state;
  switch (s) {
  case off: return "off";
  case away: return "away";
  case refused: return "refused";
  case on: break;
  }
  return "on";
}

}  // namespace

boost::json::object store_view(config::store_kind kind, const storage::sealed_store& store,
                               std::optional<milliseconds> proof) {
  boost::json::object out{{"writable", store.health().writable}, {"kind", config::word_of(kind)}};
  if (proof) out["proof_age_ms"] = proof->count();
  const auto database = store.database();
  if (!database) return out;
  out["statements"] = database->statements;
  out["hints"] = word_of_hints(database->hints);
  out["hosts"] = database->hosts;
  out["host"] = nullptr;
  if (database->host) out["host"] = *database->host + 1;
  out["writes"] = database->writes.writes;
  out["write_median_ms"] = database->writes.median_ms;
  out["write_p99_ms"] = database->writes.p99_ms;
  return out;
}

}  // namespace cpns::server
