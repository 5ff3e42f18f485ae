#include "actors/radio_view.hpp"

#include <boost/json.hpp>
#include <utility>

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

const char* word_of(plugins::transport_state::kind_t k) {
  switch (k) {
  case plugins::transport_state::kind_t::open: return "open";
  case plugins::transport_state::kind_t::waiting: return "waiting";
  case plugins::transport_state::kind_t::closed: break;
  }
  return "closed";
}

boost::json::object state_of(const open_radio_entry& radio) {
  const auto now = radio.transport->state();
  boost::json::object o{{"name", radio.name}, {"state", word_of(now.kind)}};
  if (!now.why.empty()) o["reason"] = now.why;
  return o;
}

boost::json::object as_json(const radio_links::line& l, const plugins::transport& on) {
  boost::json::object o{{"address", l.address}};
  if (!l.entity.empty()) o["entity"] = l.entity;
  const auto q = on.quality(l.link);
  if (q.rssi_dbm) o["rssi_dbm"] = *q.rssi_dbm;
  if (const auto* word = word_of(q.security)) o["security"] = word;
  return o;
}

}  // namespace

void radio_links::add(std::uint64_t transport, std::uint64_t link, const std::string& address,
                      const std::string& entity) {
  auto& mine = of_[transport];
  if (mine.count++ < links_shown_max) mine.first.push_back({link, address, entity});
}

boost::json::object describe_radios(const std::vector<open_radio_entry>& radios, const radio_links& links) {
  boost::json::array all;
  for (std::size_t i = 0; i < radios.size(); ++i) {
    const auto& on = *radios[i].transport;
    boost::json::object counters;
    for (const auto& c : on.counters()) counters[c.name] = c.value;
    boost::json::array lines;
    for (const auto& l : links.of(i).first) lines.emplace_back(as_json(l, on));
    auto one = state_of(radios[i]);
    one["plugin"] = on.info().name;
    one["version"] = on.info().version;
    one["counters"] = std::move(counters);
    one["link_count"] = links.of(i).count;
    one["links"] = std::move(lines);
    all.push_back(std::move(one));
  }
  return {{"radios", std::move(all)}};
}

boost::json::array describe_radio_states(const std::vector<open_radio_entry>& radios) {
  boost::json::array out;
  for (const auto& r : radios) out.push_back(state_of(r));
  return out;
}

}  // namespace cpns::actors
