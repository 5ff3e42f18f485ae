#include "actors/pn_gw/unproven_links.hpp"

#include <algorithm>

namespace cpns::actors {
namespace {

constexpr int patience = 4;  // a turn ends after so many times the usual time of an answer, or of a proof
constexpr int weight = 8;    // of the former times in an average

void average(milliseconds& usual, milliseconds took) { usual += (took - usual) / weight; }
milliseconds between(time_point a, time_point b) { return std::chrono::duration_cast<milliseconds>(b - a); }

}  // namespace

using protocol::gw_link;

void unproven_links::add(gw_link link) {
  const auto [it, fresh] = all_.try_emplace(link);
  if (fresh) put(link, it->second, place::waiting);
}

void unproven_links::proven(time_point now, gw_link link) {
  const auto it = all_.find(link);
  if (it == all_.end()) return;
  // Also if its turn was over: a slow server makes the later turns longer.
  if (it->second.exchange)
    average(usual_judged_, std::min<milliseconds>(between(it->second.since, now), judged_within));
  remove(link);
}

void unproven_links::remove(gw_link link) {
  const auto it = all_.find(link);
  if (it == all_.end()) return;
  take_out(it->second);
  all_.erase(it);
}

std::optional<gw_link> unproven_links::next(time_point now, entropy& random) {
  if (waiting() == 0) return std::nullopt;
  end_turns(now);
  if (with_turn() >= most_) return std::nullopt;
  const auto& all = list_of(place::waiting);
  const auto link = all[random.below(all.size())];
  auto& e = all_.at(link);
  take_out(e);
  put(link, e, place::asked);
  e.since = now;
  asked_.emplace_back(now, link);
  return link;
}

void unproven_links::answered(time_point now, gw_link link) {
  const auto it = all_.find(link);
  if (it == all_.end() || it->second.at == place::waiting || it->second.has_answered) return;
  auto& e = it->second;
  average(usual_, between(e.since, now));
  e.since = now;
  e.has_answered = e.exchange = true;
  if (e.at == place::spare && with_turn() >= most_) return;  // its turn is over, and others have theirs
  take_out(e);
  put(link, e, place::judged);
  judged_.emplace_back(now, link);
}

void unproven_links::judged(gw_link link) {
  const auto it = all_.find(link);
  if (it == all_.end()) return;
  it->second.exchange = false;
  if (it->second.at != place::judged) return;
  take_out(it->second);
  put(link, it->second, place::spare);
}

std::optional<gw_link> unproven_links::draw(time_point now, entropy& random) {
  if (all_.empty()) return std::nullopt;
  end_turns(now);
  const auto without_turn = lists_[0].size() + lists_[1].size();
  auto at = random.below(without_turn > 0 ? without_turn : all_.size());
  for (const auto& list : lists_) {
    if (at < list.size()) return list[at];
    at -= list.size();
  }
  return std::nullopt;
}

time_point unproven_links::next_turn() const {
  if (waiting() == 0) return time_never;
  auto at = time_never;
  if (!asked_.empty()) at = std::min(at, asked_.front().first + silence());
  if (!judged_.empty()) at = std::min(at, judged_.front().first + judged_for());
  return at;
}

milliseconds unproven_links::silence() const {
  return std::min(std::max(patience * usual_, silence_min), std::max(answer_timeout_, silence_min));
}

milliseconds unproven_links::judged_for() const {
  return std::clamp<milliseconds>(patience * usual_judged_, judged_min, judged_within);
}

void unproven_links::put(gw_link link, entry& e, place to) {
  auto& list = list_of(to);
  e.at = to;
  e.index = list.size();
  list.push_back(link);
}

/// The last one of the list takes its place.
void unproven_links::take_out(const entry& e) {
  auto& list = list_of(e.at);
  if (e.index + 1 != list.size()) {
    list[e.index] = list.back();
    all_.at(list[e.index]).index = e.index;
  }
  list.pop_back();
}

void unproven_links::end_turns(time_point now) {
  end_turns(asked_, place::asked, now - silence());
  end_turns(judged_, place::judged, now - judged_for());
}

void unproven_links::end_turns(turns& of, place at, time_point begun_before) {
  while (!of.empty()) {
    const auto [since, link] = of.front();
    const auto it = all_.find(link);
    const bool has_turn = it != all_.end() && it->second.at == at && it->second.since == since;
    if (has_turn && since > begun_before) return;
    if (has_turn) {
      take_out(it->second);
      put(link, it->second, place::spare);
    }
    of.pop_front();
  }
}

}  // namespace cpns::actors
