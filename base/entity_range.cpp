#include "base/entity_range.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/ascii.hpp"

namespace cpns {
namespace {

constexpr std::string_view mac_scheme = "urn:dev:mac:", imei_scheme = "urn:gsma:imei:",
                           uuid_scheme = "urn:uuid:", os_scheme = "urn:dev:os:", between_ends = "..urn:";
constexpr std::size_t imei_check_digit = imei_scheme.size() + 16;

tl::unexpected<error> no_range(std::string_view text, std::string_view why) {
  constexpr std::size_t shown_max = 2 * entity_id::max_size + 2;
  std::string shown;
  for (const char c : text.substr(0, shown_max)) shown += c > ' ' && c < 0x7f && c != '\'' ? c : '?';
  return fail(errc::wire_grammar, "'" + shown + "' " + std::string{why});
}

/// The length of the part that a range must fix, with the scheme; npos if `text` ends before it.
std::size_t fixed_part(std::string_view text) {
  if (text.starts_with(os_scheme)) {
    const auto hyphen = text.find('-');
    return hyphen == std::string_view::npos ? hyphen : hyphen + 1;
  }
  for (const auto& [scheme, digits] :
       {std::pair{mac_scheme, std::size_t{6}}, {imei_scheme, std::size_t{8}}, {uuid_scheme, std::size_t{8}}})
    if (text.starts_with(scheme))
      return text.size() < scheme.size() + digits ? std::string_view::npos : scheme.size() + digits;
  return std::string_view::npos;
}

/// Whether an Entity ID can begin with `prefix` and have more characters.
bool begins_an_entity(std::string_view prefix) {
  constexpr std::array<std::string_view, 5> samples{
      "urn:dev:mac:111111111111", "urn:dev:mac:1111111111111111", "urn:gsma:imei:11111111-111111-1",
      "urn:uuid:11111111-1111-1111-1111-111111111111", "urn:dev:os:1-1"};
  for (const auto sample : samples) {
    std::string whole{prefix};
    if (sample.starts_with(os_scheme))
      whole += '1';
    else if (sample.size() > whole.size())
      whole += sample.substr(whole.size());
    else
      continue;
    if (entity_id::parse(whole)) return true;
    if (!whole.starts_with(imei_scheme)) continue;
    for (whole.back() = '0'; whole.back() <= '9'; ++whole.back())
      if (entity_id::parse(whole)) return true;
  }
  return false;
}

std::size_t common_length(std::string_view a, std::string_view b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

/// Serials of dev:os may have letters: only those with digits where FROM and TO differ are between them.
bool has_digits_after(std::string_view text, std::size_t from) {
  return !text.starts_with(os_scheme) ||
         std::all_of(text.begin() + static_cast<std::ptrdiff_t>(from), text.end(), is_digit);
}

/// The fault of FROM..TO, empty if there is none.
std::string_view range_fault(std::string_view from, std::string_view to) {
  if (from.size() != to.size()) return "has two ends of different lengths";
  const auto common = common_length(from, to);
  if (const auto fixed = fixed_part(from); fixed == std::string_view::npos || common < fixed)
    return "has ends of different manufacturers; they must agree in 6 digits (urn:dev:mac:), 8 digits "
           "(urn:gsma:imei:, "
           "urn:uuid:) or the number before the hyphen (urn:dev:os:)";
  if (from > to) return "ends before it begins";
  if (!has_digits_after(from, common) || !has_digits_after(to, common))
    return "has ends that differ in other characters than decimal digits";
  return {};
}

/// Places of the digits that count up. The check digit of an IMEI follows from the others.
std::vector<std::size_t> counting_places(std::string_view from, std::string_view to) {
  std::vector<std::size_t> out;
  const auto end = from.starts_with(imei_scheme) ? imei_check_digit : from.size();
  for (auto i = std::min(common_length(from, to), end); i < end; ++i)
    if (from[i] != '-') out.push_back(i);
  return out;
}

unsigned digit_value(char c) { return static_cast<unsigned>(is_digit(c) ? c - '0' : c - 'a' + 10); }

}  // namespace

result<entity_range> entity_range::parse(std::string_view text) {
  if (text.ends_with('*')) {
    const auto prefix = text.substr(0, text.size() - 1);
    const auto fixed = fixed_part(prefix);
    if (fixed == std::string_view::npos || prefix.size() < fixed)
      return no_range(
          text, "is too short; a prefix has at least 6 digits after urn:dev:mac:, 8 after urn:gsma:imei: or "
                "urn:uuid:, and after urn:dev:os: the number and its hyphen");
    if (!begins_an_entity(prefix)) return no_range(text, "is not the beginning of an Entity ID");
    return entity_range{std::string{prefix}, {}};
  }
  const auto dots = text.find(between_ends);
  if (dots == std::string_view::npos) return no_range(text, "is neither PREFIX* nor FROM..TO");
  const auto from = text.substr(0, dots), to = text.substr(dots + 2);
  for (const auto end : {from, to})
    if (auto parsed = entity_id::parse(end); !parsed) return fail(std::move(parsed).error());
  if (const auto wrong = range_fault(from, to); !wrong.empty()) return no_range(text, wrong);
  return entity_range{std::string{from}, std::string{to}};
}

std::string entity_range::text() const { return is_prefix() ? first_ + "*" : first_ + ".." + last_; }

bool entity_range::contains(const entity_id& entity) const {
  const auto& e = entity.text();
  if (is_prefix()) return e.size() > first_.size() && e.starts_with(first_);
  return e.size() == first_.size() && first_ <= e && e <= last_ &&
         has_digits_after(e, common_length(first_, last_));
}

bool entity_range::overlaps(const entity_range& other) const {
  if (is_prefix() && other.is_prefix())
    return first_.starts_with(other.first_) || other.first_.starts_with(first_);
  if (!is_prefix() && !other.is_prefix())
    return first_.size() == other.first_.size() && first_ <= other.last_ && other.first_ <= last_;
  if (!is_prefix()) return other.overlaps(*this);
  const auto n = first_.size();
  const auto from = std::string_view{other.first_}.substr(0, n),
             to = std::string_view{other.last_}.substr(0, n);
  return n < other.first_.size() && from <= first_ && first_ <= to;
}

result<entity_series> entity_series::between(const entity_id& from, const entity_id& to, std::uint64_t most) {
  CPNS_TRY(const auto range, entity_range::parse(from.text() + ".." + to.text()));
  entity_series out;
  out.current_ = from;
  out.places_ = counting_places(from.text(), to.text());
  out.base_ = from.text().starts_with(mac_scheme) || from.text().starts_with(uuid_scheme) ? 16 : 10;
  // FROM is not after TO, so that the difference is not negative at any place; and it does not shrink from a place to the
  // next one, so that it cannot overflow.
  std::uint64_t steps = 0;
  for (const auto i : out.places_) {
    steps = steps * out.base_ + digit_value(to.text()[i]) - digit_value(from.text()[i]);
    if (steps >= most)
      return fail(errc::config_range, "'" + range.text() + "' has more than " + std::to_string(most) +
                                          " Entity IDs; name a smaller part");
  }
  out.left_ = steps;
  out.size_ = steps + 1;
  return out;
}

bool entity_series::advance() {
  if (left_ == 0) return false;
  --left_;
  std::string text = current_.text();
  for (auto i = places_.rbegin(); i != places_.rend(); ++i) {
    const auto next = digit_value(text[*i]) + 1;
    text[*i] = "0123456789abcdef"[next % base_];
    if (next < base_) break;
  }
  auto parsed = entity_id::parse(text);
  if (text.starts_with(imei_scheme))
    for (text[imei_check_digit] = '0'; !parsed; ++text[imei_check_digit]) parsed = entity_id::parse(text);
  current_ = *std::move(parsed);
  return true;
}

}  // namespace cpns
