#include "protocol/pn_gw/claimants.hpp"

#include <algorithm>

#include "protocol/constants.hpp"

namespace cpns::protocol {
namespace {

constexpr std::size_t requests_max = 65'536;
constexpr unsigned doublings_max = 16;

/// Unambiguous, because an Entity ID has no blank.
std::string key_of(const entity_id& entity, std::string_view claimant) {
  return entity.text() + " " + std::string{claimant};
}

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// "10.0.0.7" of "tcp:10.0.0.7".
std::string_view without_radio(std::string_view host) {
  const auto colon = host.find(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == host.size()) return host;
  const auto name = host.substr(0, colon);
  const bool is_name = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
  return is_name ? host.substr(colon + 1) : host;
}

}  // namespace

time_point claimants::not_before(const entity_id& entity, std::string_view claimant) const {
  const auto it = entries_.find(key_of(entity, claimant));
  return it == entries_.end() ? time_zero : it->second.until;
}

unsigned claimants::refusals(const entity_id& entity, std::string_view claimant) const {
  const auto it = entries_.find(key_of(entity, claimant));
  return it == entries_.end() ? 0 : it->second.refusals;
}

void claimants::refused(time_point now, const entity_id& entity, std::string_view claimant,
                        const claimant_wait& wait, entropy& random) {
  forget_old(now);
  const auto key = key_of(entity, claimant);
  entry e;
  if (const auto it = entries_.find(key); it != entries_.end()) {
    e = it->second;
    order_.erase({e.forget_at, key});
  } else if (entries_.size() >= max_) {
    forget(order_.begin()->second);
  }
  e.refusals = std::min(e.refusals + 1, doublings_max);
  const auto whole = std::min(wait.longest, wait.shortest * (std::int64_t{1} << (e.refusals - 1)));
  const auto half = static_cast<std::uint64_t>(std::max<std::int64_t>(whole.count() / 2, 1));
  const auto drawn = milliseconds{static_cast<std::int64_t>(half + random.below(half + 1))};
  const auto length = std::max(drawn, wait.at_least);
  e.until = now + length;
  e.forget_at = e.until + std::max(length, wait.longest);
  order_.emplace(e.forget_at, key);
  entries_[key] = e;
}

void claimants::accepted(const entity_id& entity, std::string_view claimant) {
  forget(key_of(entity, claimant));
}

bool claimants::take_request(time_point now, const entity_id& entity) {
  if (next_request(now, entity) > now) return false;
  while (!requests_by_age_.empty() && (requests_by_age_.front().first + request_interval <= now ||
                                       requests_by_age_.size() >= requests_max)) {
    const auto it = requests_.find(requests_by_age_.front().second);
    if (it != requests_.end() && it->second == requests_by_age_.front().first) requests_.erase(it);
    requests_by_age_.pop_front();
  }
  requests_[entity.text()] = now;
  requests_by_age_.emplace_back(now, entity.text());
  return true;
}

time_point claimants::next_request(time_point now, const entity_id& entity) const {
  const auto it = requests_.find(entity.text());
  return it == requests_.end() ? now : std::max(now, it->second + request_interval);
}

void claimants::forget(const std::string& key) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) return;
  const auto at = order_.find({it->second.forget_at, key});
  entries_.erase(it);
  order_.erase(at);  // last, because `key` may refer to it
}

void claimants::forget_old(time_point now) {
  while (!order_.empty() && order_.begin()->first <= now) forget(order_.begin()->second);
}

std::string_view without_port(std::string_view address) {
  const auto colon = address.rfind(':');
  if (colon == std::string_view::npos || !is_number(address.substr(colon + 1))) return address;
  const auto host = address.substr(0, colon);
  const bool has_port = host.ends_with(']') || without_radio(host).find(':') == std::string_view::npos;
  return has_port ? host : address;
}

std::string claimant_of(std::uint64_t transport, std::string_view address) {
  return std::to_string(transport) + " " + std::string{without_port(address)};
}

}  // namespace cpns::protocol
