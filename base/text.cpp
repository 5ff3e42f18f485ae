#include "base/text.hpp"

#include <algorithm>
#include <ctime>

namespace cpns {
namespace {

std::size_t distance(std::string_view a, std::string_view b) {
  // Levenshtein's distance, with a swap of neighbours as one step; three rows are enough.
  std::vector<std::size_t> before(b.size() + 1), row(b.size() + 1), next(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    next[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      next[j] = std::min({row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        next[j] = std::min(next[j], before[j - 2] + 1);
    }
    before.swap(row);
    row.swap(next);
  }
  return row[b.size()];
}

}  // namespace

std::optional<std::string_view> nearest(std::string_view word,
                                        const std::vector<std::string_view>& candidates) {
  if (word.size() > 64) return std::nullopt;
  std::optional<std::string_view> best;
  std::size_t best_distance = std::max<std::size_t>(1, std::min<std::size_t>(3, word.size() / 2)) + 1;
  for (const auto c : candidates) {
    const auto d = distance(word, c);
    if (d < best_distance) {
      best_distance = d;
      best = c;
    }
  }
  return best;
}

std::string shown(std::string_view text) {
  std::string out = "'";
  for (char c : text.substr(0, 60)) out += c >= ' ' && c < 0x7f ? c : '?';
  return out + (text.size() > 60 ? "...'" : "'");
}

std::string without_controls(std::string_view text) {
  constexpr unsigned char del = 0x7f, c1_lead = 0xc2, c1_first = 0x80, c1_last = 0x9f;
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : del;
    const bool c1 = c == c1_lead && next >= c1_first && next <= c1_last;
    out += c1 || c < ' ' || c == del ? '?' : text[i];
    if (c1) ++i;
  }
  return out;
}

bool has_controls(std::string_view text) { return without_controls(text) != text; }

std::string utc_text(std::int64_t unix_time) {
  const auto t = static_cast<std::time_t>(unix_time);
  std::tm parts{};
  char text[32] = "?";
  if (::gmtime_r(&t, &parts) != nullptr) std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%SZ", &parts);
  return text;
}

std::string rfc3339_text(time_point t) {
  const auto whole = std::chrono::floor<seconds>(t);
  auto out = utc_text(unix_seconds(whole));
  if (out.size() < 20) return out;
  out[out.find(' ')] = 'T';
  const auto fraction = std::to_string((t - whole).count() + 1000);  // "1" and three digits
  return out.insert(out.size() - 1, "." + fraction.substr(1));
}

std::string plural(std::uint64_t n, std::string_view one) {
  return std::to_string(n) + " " + std::string{one} + (n == 1 ? "" : "s");
}

bool fits(std::string_view pattern, std::string_view text) {
  return pattern.ends_with('*') ? text.starts_with(pattern.substr(0, pattern.size() - 1)) : text == pattern;
}

}  // namespace cpns
