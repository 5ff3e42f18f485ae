#include "base/line_budget.hpp"

namespace cpns {

bool line_budget::take(time_point now, std::string_view key) {
  auto found = counts_.find(std::string{key});
  if (found == counts_.end() && counts_.size() >= keys_max_) found = counts_.find(std::string{});
  if (found == counts_.end())
    found =
        counts_.emplace(counts_.size() < keys_max_ ? std::string{key} : std::string{}, count{now, 0}).first;
  auto& c = found->second;
  if (is_over(c, now)) {
    if (c.asked > lines_ && ended_.size() < keys_max_) ended_.push_back({found->first, c.asked - lines_});
    c = {now, 0};
  }
  return ++c.asked <= lines_;
}

std::vector<line_budget::held> line_budget::over(time_point now) {
  auto out = std::exchange(ended_, {});
  for (auto at = counts_.begin(); at != counts_.end();) {
    if (!is_over(at->second, now)) {
      ++at;
      continue;
    }
    if (at->second.asked > lines_) out.push_back({at->first, at->second.asked - lines_});
    at = counts_.erase(at);
  }
  return out;
}

}  // namespace cpns
