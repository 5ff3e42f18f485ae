#include "plugins/isolation/link_book.hpp"

#include <algorithm>
#include <iterator>

namespace cpns::plugins::isolation {
namespace {

tl::unexpected<error> broken(std::string_view rule) {
  return fail(errc::plugin_misbehaved, std::string{rule});
}

}  // namespace

status link_book::add_endpoint(endpoint_id endpoint, std::string name, std::uint32_t most,
                               const std::string& plugin) {
  if (endpoints_.count(endpoint) != 0)
    return fail(errc::state_exists, plugin + ": endpoint " + std::to_string(endpoint));
  if (endpoints_.size() >= most)
    return fail(errc::state_exhausted, plugin + " can present at most " + std::to_string(most) + " PNEs");
  endpoints_.emplace(endpoint, std::move(name));
  return {};
}

std::vector<command> link_book::replay() const {
  std::vector<command> out;
  if (power_ != power_level::full) out.emplace_back(power_command{power_});
  if (scanning_) out.emplace_back(scan_command{true});
  for (const auto& [endpoint, name] : endpoints_) out.emplace_back(add_command{endpoint, name});
  return out;
}

void link_book::connecting(std::string address) {
  if (std::find(connecting_.begin(), connecting_.end(), address) != connecting_.end()) return;
  if (connecting_.size() >= connects_max) connecting_.pop_front();
  connecting_.push_back(std::move(address));
}

void link_book::connect_failed(const std::string& address) { std::erase(connecting_, address); }

result<link_id> link_book::reserve(link_id own) {
  const auto known = child_of_.find(own);
  if (known == child_of_.end()) return fail(errc::plugin_link, "link " + std::to_string(own));
  auto& l = links_.at(known->second);
  if (l.pending >= window || pending_ >= window_of_all)
    return fail(errc::state_overloaded, "the link's queue is full");
  ++l.pending;
  ++pending_;
  return known->second;
}

link_id link_book::child_id(link_id own) const {
  const auto known = child_of_.find(own);
  return known == child_of_.end() ? 0 : known->second;
}

link_quality link_book::quality(link_id own) const {
  const auto known = child_of_.find(own);
  return known == child_of_.end() ? link_quality{} : links_.at(known->second).quality;
}

status link_book::quality(const quality_report& r) {
  if (const auto it = links_.find(r.link); it != links_.end())
    it->second.quality = r.quality;
  else if (!gone(r.link))
    return broken("quality of a link that never was up");
  return {};
}

void link_book::opened(std::uint32_t max_links, milliseconds now) {
  max_links_ = max_links;
  ups_left_ = ups_most_ = std::max(max_links, ups_burst);
  ups_counted_ = now;
}

result<std::optional<link_id>> link_book::up(const up_report& r, milliseconds now) {
  if (r.link == 0 || r.link <= highest_)
    return broken("a link came up with an id that is 0 or was used before");
  if (links_.size() >= max_links_) return broken("more links came up than the plugin declares (max_links)");
  if (role_ == transport_role::central && r.endpoint != 0)
    return broken("a link came up with an endpoint in the central role");
  const auto earned = static_cast<std::uint64_t>((now - ups_counted_).count()) * ups_per_second / 1000;
  if (earned != 0) {
    ups_left_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(ups_left_ + earned, ups_most_));
    ups_counted_ = now;
  }
  if (ups_left_ == 0) return broken("links came up faster than any radio can make them");
  --ups_left_;
  highest_ = r.link;
  std::erase(connecting_, r.address);
  const bool wanted = role_ == transport_role::central || endpoints_.count(r.endpoint) != 0;
  auto& l = links_[r.link];
  if (!wanted) return std::nullopt;
  l.own = ++last_own_;
  child_of_[l.own] = r.link;
  return l.own;
}

result<std::optional<link_id>> link_book::down(link_id child) {
  const auto it = links_.find(child);
  if (it == links_.end()) {
    if (gone(child)) return std::nullopt;
    return broken("link_down of a link that never was up");
  }
  const auto own = it->second.own;
  pending_ -= it->second.pending;
  links_.erase(it);
  if (own == 0) return std::nullopt;
  child_of_.erase(own);
  return own;
}

result<std::optional<link_id>> link_book::message(link_id child, std::size_t bytes) const {
  const auto it = links_.find(child);
  if (it == links_.end()) {
    if (gone(child)) return std::nullopt;
    return broken("a message on a link that never was up");
  }
  if (bytes == 0 || bytes > message_max) return broken("a message that is empty or too long");
  if (it->second.own == 0) return std::nullopt;
  return it->second.own;
}

status link_book::taken(const taken_report& r) {
  const auto it = links_.find(r.link);
  if (it == links_.end()) {
    if (gone(r.link)) return {};
    return broken("messages taken for a link that never was up");
  }
  if (r.messages == 0 || r.messages > it->second.pending)
    return broken("it reported no messages as taken, or more than were sent");
  it->second.pending -= r.messages;
  pending_ -= r.messages;
  return {};
}

link_book::losses link_book::ended() {
  losses out;
  for (const auto& [own, child] : child_of_) out.links.push_back(own);
  std::sort(out.links.begin(), out.links.end());
  out.connects = {std::make_move_iterator(connecting_.begin()), std::make_move_iterator(connecting_.end())};
  connecting_.clear();
  links_.clear();
  child_of_.clear();
  highest_ = 0;
  max_links_ = pending_ = 0;
  return out;
}

}  // namespace cpns::plugins::isolation
