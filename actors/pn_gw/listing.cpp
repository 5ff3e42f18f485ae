#include "actors/pn_gw/listing.hpp"

#include <boost/json.hpp>
#include <map>
#include <utility>

#include "actors/pn_gw/views.hpp"

namespace cpns::actors {
namespace {

namespace json = boost::json;
/// By Entity ID; null: not in memory.
using candidates = std::map<std::string, json::value>;

std::string text_in(const json::value& row, std::string_view member) {
  const auto& text = row.as_object().at(member).as_string();
  return {text.data(), text.size()};
}

/// A row of the page; null: there is none.
json::value described(const key_store& store, const std::string& entity, json::value known) {
  if (known.is_null()) return show_stored_device(store, entity);
  return is_note_of_rest(known.as_object()) ? show_device_at_rest(store, known.as_object()) : known;
}

/// At least the next `count` PNEs, if there are as many.
result<candidates> candidates_for(const pne_tally& known, const pnes_wanted& wanted, std::size_t count,
                                  const live_pnes_fn& live) {
  candidates out;
  CPNS_TRY(auto described, live({wanted.after, wanted.prefix, count}));
  for (auto& row : described) {
    auto entity = text_in(row, "entity");
    out.emplace(std::move(entity), std::move(row));
  }
  for (auto& name : known.names(wanted.prefix, wanted.after, count)) out.emplace(std::move(name), nullptr);
  return out;
}

}  // namespace

result<json::object> page_of_pnes(const key_store& store, const pne_tally& known, const pnes_wanted& wanted,
                                  const live_pnes_fn& live) {
  const auto looked_at = wanted.state.empty() ? wanted.limit : pnes_looked_at_max;
  CPNS_TRY(auto all, candidates_for(known, wanted, looked_at + 1, live));
  json::array rows;
  json::value next = nullptr;
  std::size_t seen = 0;
  for (auto it = all.begin(); it != all.end(); ++it) {
    if (rows.size() == wanted.limit || seen == looked_at) {
      next = std::prev(it)->first;
      break;
    }
    ++seen;
    auto row = described(store, it->first, std::move(it->second));
    if (!row.is_null() && (wanted.state.empty() || text_in(row, "state") == wanted.state))
      rows.push_back(std::move(row));
  }
  return json::object{{"pnes", std::move(rows)}, {"next", std::move(next)}};
}

}  // namespace cpns::actors
