#include "actors/pn_gw/radio_view.hpp"

#include <boost/json.hpp>

namespace cpns::actors {
namespace {

const char* word_of(plugins::link_security s) {
  switch (s) {
  case plugins::link_security::none: return "none";
  case plugins::link_security::encrypted: return "encrypted";
  case plugins::link_security::authenticated: return "authenticated";
  case plugins::link_security::unknown: break;
  }
  return nullptr;
}

boost::json::object as_json(const link_line& l, const plugins::transport& on) {
  boost::json::object o{{"address", l.address}};
  if (!l.entity.empty()) o["entity"] = l.entity;
  const auto q = on.quality(l.link.link);
  if (q.rssi_dbm) o["rssi_dbm"] = *q.rssi_dbm;
  if (const auto* word = word_of(q.security)) o["security"] = word;
  return o;
}

}  // namespace

std::string describe_radios(const std::vector<open_radio_entry>& radios,
                            const std::vector<link_line>& links) {
  boost::json::array all;
  for (std::size_t i = 0; i < radios.size(); ++i) {
    const auto& on = *radios[i].transport;
    boost::json::object counters;
    for (const auto& c : on.counters()) counters[c.name] = c.value;
    boost::json::array lines;
    for (const auto& l : links)
      if (l.link.transport == i) lines.emplace_back(as_json(l, on));
    all.push_back(boost::json::object{{"name", radios[i].name},
                                      {"plugin", on.info().name},
                                      {"version", on.info().version},
                                      {"counters", std::move(counters)},
                                      {"links", std::move(lines)}});
  }
  return boost::json::serialize(boost::json::object{{"radios", std::move(all)}});
}

}  // namespace cpns::actors
