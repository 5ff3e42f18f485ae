// The links of peers that are the device or claim to be it. One of them may be the good link: that of the last
// verified tag. Strangers can fill the others, so a new link replaces a random one.
#include <algorithm>

#include "protocol/pn_gw/pn_gw_impl.hpp"

namespace cpns::protocol {

bool pn_gw_machine::impl::has_link(gw_link link) const {
  return std::find(links.begin(), links.end(), link) != links.end();
}

/// The good link and one that waits for the server's answer are not evicted for a stranger.
bool pn_gw_machine::impl::is_needed(gw_link link) const {
  if (proven == link) return true;
  if (const auto* d = std::get_if<gw_delivering>(&activity)) return d->link == link;
  const auto* asking = std::get_if<gw_asking>(&activity);
  return asking != nullptr && asking->answer.link == link;
}

std::string pn_gw_machine::impl::claimant(gw_link link) const {
  const auto it = places.find(link);
  return claimant_of(link.transport, it == places.end() ? std::string_view{} : it->second.address);
}

void pn_gw_machine::impl::add_link(gw_link link, gw_place place) {
  // The peer on it was never asked by a DREQ whose exchange is over.
  if (!open.dreq) same_id.forget_answers();
  places[link] = std::move(place);
  prefer(link);
  if (links.size() > claims_max) {
    std::vector<gw_link> strangers;
    for (const auto& l : links)
      if (!is_needed(l)) strangers.push_back(l);
    drop_link(strangers[random.below(strangers.size())], "the device has too many links");
  }
  if (!has_own() && !proven && has_link(link)) seen_at(places[link]);
}

void pn_gw_machine::impl::seen_at(const gw_place& place) {
  place_changed =
      place_changed || record.last_transport != place.transport || record.last_address != place.address;
  record.last_transport = place.transport;
  record.last_address = place.address;
}

void pn_gw_machine::impl::forget_link(gw_link link) {
  if (proven == link) proven.reset();
  places.erase(link);
  same_id.forget_answers(link);
  links.erase(std::remove(links.begin(), links.end(), link), links.end());
  std::erase_if(open.answers, [link](const gw_answer& a) { return a.link == link; });
}

void pn_gw_machine::impl::prefer(gw_link link) {
  links.erase(std::remove(links.begin(), links.end(), link), links.end());
  links.insert(links.begin(), link);
}

/// A proof on another link than the last one means that the device woke up; a new link alone proves nothing.
void pn_gw_machine::impl::prove(time_point now, gw_link link) {
  woke = woke || (has_own() && proven != link);
  make_good(now, link);
}

void pn_gw_machine::impl::make_good(time_point now, gw_link link) {
  claims_not_before = std::max(claims_not_before, now + claim_interval);
  waits_for_server = false;
  if (!has_link(link)) return;
  if (proven != link) outputs.emplace_back(gw_link_proven{link});
  proven = link;
  prefer(link);
  seen_at(places[link]);
}

void pn_gw_machine::impl::drop_link(gw_link link, std::string why) {
  forget_link(link);
  outputs.emplace_back(gw_close_link{link, std::move(why)});
}

void pn_gw_machine::impl::handle_link_down(time_point now, gw_link link) {
  if (!has_link(link)) return;
  forget_link(link);
  if (links.empty()) {
    subject what;
    what.why = "the link went down";
    return fire(has_own() ? pn_gw_trigger::lost_keyed : pn_gw_trigger::lost, now, std::move(what));
  }
  if (const auto* d = std::get_if<gw_delivering>(&activity); d != nullptr && d->link == link)
    fail_with(now, "the link went down while a key was delivered", seconds{0}, d->healing);
}

}  // namespace cpns::protocol
