// Application keys: both sides derive them alone, so a difference shows in no message.

#include <algorithm>
#include <string>

#include "base/text.hpp"
#include "cli/doctor/compare.hpp"
#include "config/describe.hpp"
#include "config/values.hpp"
#include "protocol/constants.hpp"

namespace cpns::cli::doctor {
namespace {

using purposes = std::map<std::string, config::key_purpose, std::less<>>;

const std::string section = "application_keys";

std::string key_of(const std::string& purpose, std::string_view member = {}) {
  return section + ".purposes." + purpose + (member.empty() ? "" : "." + std::string{member});
}

bool covers(const config::key_purpose& purpose, const entity_id& e) {
  return purpose.entities.empty() ||
         std::any_of(purpose.entities.begin(), purpose.entities.end(),
                     [&e](const std::string& pattern) { return fits(pattern, e.text()); });
}

/// " (did you mean 'mqtt'?)" if the other side alone has a purpose with a similar name.
std::string similar(const std::string& name, const purposes& here, const purposes& there) {
  std::vector<std::string_view> candidates;
  for (const auto& [other, purpose] : there)
    if (!here.contains(other)) candidates.push_back(other);
  const auto meant = nearest(name, candidates);
  return meant ? " (did you mean '" + std::string{*meant} + "'?)" : "";
}

/// A purpose that this gateway has for other PNEs concerns this pair only if it has its devices.
bool concerns(const config::key_purpose& purpose, const known_devices& d) {
  return !d.all || std::any_of(d.all->begin(), d.all->end(),
                               [&purpose](const entity_id& e) { return covers(purpose, e); });
}

lines one_side_alone(const gateway_side& g, const pne_side& p) {
  if (g.config.application_keys)
    return {{state_t::warning, g.named(section) + " gives keys to programs, but " + p.place("") +
                                   " has no '" + section +
                                   "': no program on these PNEs gets a key; add it "
                                   "there, unless the keys are for other PNEs"}};
  return {{state_t::error, p.named(section) + " gives keys to programs, but " + g.place("") + " has no '" +
                               section + "': no program of this gateway has the same keys; add it there"}};
}

void compare_names(const gateway_side& g, const pne_side& p, const known_devices& d, lines& out) {
  const auto& here = g.config.application_keys->purposes;
  const auto& there = p.config.application_keys->purposes;
  for (const auto& [name, purpose] : here)
    if (!there.contains(name) && concerns(purpose, d))
      out.push_back({state_t::warning, g.named(key_of(name)) + " is not in " +
                                           p.named(section + ".purposes") + similar(name, here, there) +
                                           ": no program on these PNEs has the same keys; add it there, "
                                           "unless it is for other PNEs"});
  for (const auto& [name, purpose] : there)
    if (!here.contains(name))
      out.push_back({state_t::error, p.named(key_of(name)) + " is not in " + g.named(section + ".purposes") +
                                         similar(name, there, here) +
                                         ": no program of this gateway has the same keys; add it there"});
}

/// The devices of the PNEs that the purposes of both sides cover, and those that the PNEs alone give keys of.
void compare_entities(const std::string& name, const gateway_side& g, const pne_side& p,
                      const known_devices& d, lines& out) {
  const auto& here = g.config.application_keys->purposes.at(name);
  const auto& there = p.config.application_keys->purposes.at(name);
  if (here.entities.empty() && there.entities.empty()) return;
  const auto key = key_of(name, "entities");
  if (!d.all) {
    const auto& at = here.entities.empty() ? p.named(key) : g.named(key);
    out.push_back({state_t::warning, at + " is not compared with the Entity IDs of " +
                                         p.named("devices_file") + ", which cannot be read: " + d.why +
                                         "; run the command as the user of the PNEs"});
    return;
  }
  std::vector<entity_id> both, pne_alone;
  for (const auto& e : *d.all)
    if (covers(there, e)) (covers(here, e) ? both : pne_alone).push_back(e);
  if (both.empty() && !d.all->empty()) {
    out.push_back({state_t::error, g.named(key) + " and " + p.named(key) +
                                       " have no device of these PNEs in common: no program has a key that "
                                       "the other side has; name " +
                                       names_of(*d.all) + " on both sides"});
    return;
  }
  if (pne_alone.empty()) return;
  out.push_back({state_t::warning, g.named(key) + " does not name " + names_of(pne_alone) +
                                       ", whose keys the PNEs give (" + p.place(key) +
                                       "): the other side refuses them; add the Entity ID, or leave it out "
                                       "on both sides"});
}

void compare_purpose(const std::string& name, const gateway_side& g, const pne_side& p,
                     const known_devices& d, lines& out) {
  const auto before = out.size();
  const auto& here = g.config.application_keys->purposes.at(name);
  const auto& there = p.config.application_keys->purposes.at(name);
  const auto differ = [&](std::string_view member, const std::string& a, const std::string& b,
                          const std::string& effect) {
    const auto key = key_of(name, member);
    out.push_back({state_t::error, g.named(key) + " is " + a + ", but " + p.named(key) + " is " + b + ": " +
                                       effect + "; write the same on both sides"});
  };
  if (here.bytes != there.bytes)
    differ("bytes", std::to_string(here.bytes), std::to_string(there.bytes),
           "keys of different lengths share nothing");
  if (here.identity != there.identity)
    differ("identity", std::string{config::word_of(here.identity)},
           std::string{config::word_of(there.identity)}, "the other side knows no key by that name");
  compare_entities(name, g, p, d, out);
  if (out.size() == before)
    out.push_back({state_t::ok, "the purpose " + name + " is the same at " + g.place(key_of(name)) + " and " +
                                    p.place(key_of(name))});
}

}  // namespace

lines compare_purposes(const gateway_side& g, const pne_side& p, const known_devices& d) {
  const auto& here = g.config.application_keys;
  const auto& there = p.config.application_keys;
  if (!here && !there)
    return {{state_t::ok, "no program gets keys: neither " + g.place("") + " nor " + p.place("") + " has '" +
                              section + "'"}};
  if (!here || !there) return one_side_alone(g, p);
  lines out;
  compare_names(g, p, d, out);
  for (const auto& [name, purpose] : here->purposes)
    if (there->purposes.contains(name)) compare_purpose(name, g, p, d, out);
  if ((here->overlap == milliseconds{0}) != (there->overlap == milliseconds{0})) {
    const auto key = section + ".overlap";
    const bool gateway = here->overlap == milliseconds{0};
    out.push_back({state_t::warning,
                   (gateway ? g.named(key) : p.named(key)) + " is 0s, but " +
                       (gateway ? p.named(key) : g.named(key)) + " is " +
                       config::duration_text(gateway ? there->overlap : here->overlap) +
                       ": programs that accept keys on the first side refuse handshakes that are under way "
                       "when a key changes; remove 'overlap: 0s', which is for tests"});
  }
  if (out.empty())
    out.push_back({state_t::ok, g.named(section + ".purposes") + " has nothing for the PNEs of " +
                                    p.place(section + ".purposes")});
  return out;
}

lines compare_timers(const gateway_side& g, const pne_side& p) {
  const auto& timers = g.config.timers;
  const auto wait = g.config.application_keys ? g.config.application_keys->consumer_wait : milliseconds{0};
  const auto forgets = config::duration_text(protocol::context_lifetime);
  if (timers.retries > 0 && wait + timers.answer_timeout >= protocol::context_lifetime) {
    const auto waits = wait > milliseconds{0} ? " and " + g.named(section + ".consumer_wait") + " (" +
                                                    config::duration_text(wait) + ")"
                                              : std::string{};
    return {{state_t::warning, g.named("timers.answer_timeout") + " (" +
                                   config::duration_text(timers.answer_timeout) + ")" + waits +
                                   " leave no time to send a lost key again: a PNE of " + p.place("") +
                                   " forgets its answer after " + forgets +
                                   ", and the exchange begins again; make them shorter"}};
  }
  return {{state_t::ok, "a lost key is sent again before a PNE forgets its answer (" + forgets +
                            "): " + g.place("timers.answer_timeout") + " and " + p.place("")}};
}

}  // namespace cpns::cli::doctor
