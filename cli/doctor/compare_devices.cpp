// Whether a gateway takes the PNEs of a configuration.

#include <algorithm>
#include <functional>

#include "base/text.hpp"
#include "cli/doctor/compare.hpp"
#include "server/device_rows.hpp"

namespace cpns::cli::doctor {
namespace {

bool is_named(const std::vector<std::string>& patterns, const entity_id& e) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&e](const std::string& pattern) { return fits(pattern, e.text()); });
}

}  // namespace

known_devices devices_of(const config::pne_config& c) {
  std::vector<entity_id> out;
  if (c.devices_file.empty()) {
    for (const auto& d : c.devices)
      if (auto entity = entity_id::parse(d.entity)) out.push_back(*std::move(entity));
    return {std::move(out), {}};
  }
  const auto rows = server::load_device_rows(c.devices_file);
  if (!rows) return {std::nullopt, rows.error().detail};
  out.reserve(rows->good.size());
  for (const auto& row : rows->good) out.push_back(row.entity);
  return {std::move(out), {}};
}

std::string names_of(const std::vector<entity_id>& some) {
  return some.front().text() + (some.size() > 1 ? " and " + plural(some.size() - 1, "other") : "");
}

lines compare_devices(const gateway_side& g, const pne_side& p, const known_devices& d) {
  const auto& rules = g.config.validation;
  const bool selects = !rules.deny.empty() || rules.policy == config::approval::list;
  const std::string list = p.config.devices_file.empty() ? "devices" : "devices_file";
  if (!d.all) {
    const auto why = p.named(list) + " cannot be read: " + d.why;
    if (selects)
      return {{state_t::warning, why + "; so its Entity IDs are not compared with " + g.named("validation") +
                                     "; run the command as the user of the PNEs"}};
    return {{state_t::ok, why + "; " + g.place("validation") + " accepts any Entity ID"}};
  }
  if (d.all->empty()) return {{state_t::ok, p.named(list) + " has no device"}};
  lines out;
  const auto take = [&](const char* key, const std::string& what, const std::string& remedy,
                        const std::function<bool(const entity_id&)>& refused) {
    std::vector<entity_id> some;
    std::copy_if(d.all->begin(), d.all->end(), std::back_inserter(some), refused);
    if (some.empty()) return;
    out.push_back({some.size() == d.all->size() ? state_t::error : state_t::warning,
                   g.named(key) + what + names_of(some) + " of " + p.named(list) +
                       ", so the gateway never accepts " + (some.size() > 1 ? "them" : "it") + remedy});
  };
  take("validation.deny", " names ", "; remove the entry if it is meant for another device",
       [&](const entity_id& e) { return is_named(rules.deny, e); });
  if (rules.policy == config::approval::list)
    take("validation.allow", " does not name ", "; add the Entity ID",
         [&](const entity_id& e) { return !is_named(rules.deny, e) && !is_named(rules.allow, e); });
  if (d.all->size() > g.config.limits.links)
    out.push_back({state_t::warning, p.named(list) + " has " + plural(d.all->size(), "device") + ", but " +
                                         g.named("limits.links") + " is " +
                                         std::to_string(g.config.limits.links) +
                                         ": the others wait for a free link; raise it"});
  if (out.empty())
    out.push_back({state_t::ok, plural(d.all->size(), "device") + " of " + p.named(list) +
                                    ", which the gateway may accept (" + g.place("validation") + ")"});
  return out;
}

}  // namespace cpns::cli::doctor
