#include "cli/keys/key_table.hpp"

#include <algorithm>
#include <utility>

namespace cpns::cli::keys {
namespace {

const listed_key* with_epoch(const std::vector<listed_key>& keys, epoch which) {
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const auto& k) { return k.which == which; });
  return found == keys.end() ? nullptr : &*found;
}

}  // namespace

void key_table::begin_again() {
  synced_ = resumed_ = false;
  came_.clear();
}

std::vector<key_change> key_table::apply(key_line line) {
  using enum key_line::what;
  std::vector<key_change> out;
  const bool kept = only_.empty() || line.entity == only_;
  switch (line.event) {
  case put:
    if (kept) this->put(line, out);
    break;
  case gone:
    if (kept) remove(line.entity, line.reason, out);
    break;
  case synced: sweep(line.unreadable, out); break;
  case resync: begin_again(); break;
  case resumed: resumed_ = !synced_; break;
  case begun:
  case other: break;
  }
  if (!out.empty()) ++version_;
  return out;
}

const std::vector<listed_key>& key_table::of(const std::string& entity) const {
  static const std::vector<listed_key> none;
  const auto found = devices_.find(entity);
  return found == devices_.end() ? none : found->second;
}

void key_table::put(key_line& line, std::vector<key_change>& out) {
  if (line.keys.empty()) return remove(line.entity, reason_none, out);
  if (!synced_) came_.insert(line.entity);
  auto& now = devices_[line.entity];
  for (auto& before : now)
    if (const auto* same = with_epoch(line.keys, before.which); same == nullptr || same->key != before.key)
      out.push_back({key_change::what::ended, line.entity, before,
                     before.which < line.sessions_from ? "replaced" : "retired"});
  for (const auto& k : line.keys) {
    const auto* before = with_epoch(now, k.which);
    if (before == nullptr || before->key != k.key)
      out.push_back({key_change::what::began, line.entity, k});
    else if (*before != k)
      out.push_back({key_change::what::changed, line.entity, k});
  }
  now = std::move(line.keys);
}

void key_table::remove(const std::string& entity, std::string_view reason, std::vector<key_change>& out) {
  came_.erase(entity);
  const auto found = devices_.find(entity);
  if (found == devices_.end()) return;
  for (auto& k : found->second)
    out.push_back({key_change::what::ended, entity, std::move(k), std::string{reason}, true});
  devices_.erase(found);
}

void key_table::sweep(std::uint64_t unreadable, std::vector<key_change>& out) {
  std::vector<std::string> missing;
  if (!synced_ && !resumed_)
    for (const auto& [entity, keys] : devices_)
      if (!came_.contains(entity)) missing.push_back(entity);
  for (const auto& entity : missing) remove(entity, unreadable > 0 ? reason_unreadable : reason_none, out);
  came_.clear();
  synced_ = true;
  resumed_ = false;
}

}  // namespace cpns::cli::keys
