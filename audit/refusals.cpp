#include "audit/refusals.hpp"

#include <algorithm>
#include <map>

#include "audit/line.hpp"

namespace cpns::audit {

bool refusals::take(time_point now, const std::string& peer) {
  return per_peer_.take(now, clean_text(peer, short_text_max)) && all_.take(now, {});
}

std::vector<boost::json::object> refusals::counts(time_point now, bool last) {
  // A time after the current minutes ends them.
  const auto at = last ? now + 2 * period : now;
  std::map<std::string, std::uint64_t> by_peer;
  for (const auto& h : per_peer_.over(at)) by_peer[h.key] += h.lines;
  std::uint64_t others = 0;
  for (const auto& h : all_.over(at)) others += h.lines;
  const std::string shared;
  others += by_peer[shared];  // peers over peers_max share the empty name
  by_peer.erase(shared);
  std::vector<std::pair<std::uint64_t, std::string>> order;
  for (const auto& [peer, n] : by_peer) order.emplace_back(n, peer);
  std::sort(order.rbegin(), order.rend());
  std::vector<boost::json::object> out;
  const auto put = [&out](const std::string& peer, std::uint64_t n) {
    boost::json::object o{{"kind", "refusals"}};
    if (!peer.empty()) o["peer"] = peer;
    o["left_out"] = n;
    out.push_back(std::move(o));
  };
  for (const auto& [n, peer] : order) {
    if (out.size() + 1 < counts_max)
      put(peer, n);
    else
      others += n;
  }
  if (others > 0) put({}, others);
  return out;
}

}  // namespace cpns::audit
