#include "actors/pn_gw/packed_events.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace cpns::actors {
namespace {

using kind_t = protocol::gw_event::kind_t;

constexpr log::event_line write_failed{"record-not-written", log::level::error, "",
                                       "the record of the PNE could not be written"};

// An event: a byte of flags, a byte of the kind, the milliseconds after the event before it, then as the flags say how much
// greater its epoch is than the one before, and a byte of the length of the text with the text. A dropped failure, which
// comes first, has its own time and epoch, and is not the event before the next one. Numbers as of put_number().
enum flag : unsigned {
  is_unproven = 1,
  has_epoch = 2,
  has_why = 4,
  no_kind = 8,
  is_dropped = 16  ///< a failure that is not among the events any more
};

struct item {
  unsigned flags = 0;
  std::uint8_t kind = 0;
  std::int64_t at = 0;  ///< Unix ms
  std::int64_t epoch = 0;
  std::string_view why;
  [[nodiscard]] bool is(flag f) const { return (flags & f) != 0; }
};

/// Seven bits in each byte, the lowest first; all but the last one have bit 7. The sign is the lowest bit, so that small
/// numbers have one byte.
void put_number(std::string& to, std::int64_t n) {
  auto left = static_cast<std::uint64_t>(n) << 1;
  if (n < 0) left = ~left;
  for (; left >= 0x80; left >>= 7) to.push_back(static_cast<char>(left | 0x80U));
  to.push_back(static_cast<char>(left));
}
std::int64_t take_number(std::string_view& in) {
  std::uint64_t n = 0;
  for (unsigned shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(in.front());
    in.remove_prefix(1);
    n |= std::uint64_t{byte & 0x7fU} << shift;
    if ((byte & 0x80U) == 0) break;
  }
  return static_cast<std::int64_t>((n & 1) != 0 ? ~(n >> 1) : n >> 1);
}
unsigned take_byte(std::string_view& in) {
  const auto out = static_cast<unsigned char>(in.front());
  in.remove_prefix(1);
  return out;
}

/// The texts are those in `packed`.
std::vector<item> items_of(std::string_view packed) {
  std::vector<item> out;
  std::int64_t at = 0, epoch = 0;
  while (!packed.empty()) {
    item e;
    e.flags = take_byte(packed);
    e.kind = static_cast<std::uint8_t>(take_byte(packed));
    e.at = at + take_number(packed);
    if (e.is(has_epoch)) e.epoch = epoch + take_number(packed);
    if (e.is(has_why)) {
      const auto size = take_byte(packed);
      e.why = packed.substr(0, size);
      packed.remove_prefix(size);
    }
    if (!e.is(is_dropped)) {
      at = e.at;
      if (e.is(has_epoch)) epoch = e.epoch;
    }
    out.push_back(e);
  }
  return out;
}

std::string packed_from(const std::vector<item>& items) {
  std::string out;
  std::int64_t at = 0, epoch = 0;
  for (const auto& e : items) {
    out.push_back(static_cast<char>(e.flags));
    out.push_back(static_cast<char>(e.kind));
    put_number(out, e.at - at);
    if (e.is(has_epoch)) put_number(out, e.epoch - epoch);
    if (e.is(has_why)) {
      out.push_back(static_cast<char>(e.why.size()));
      out += e.why;
    }
    if (e.is(is_dropped)) continue;
    at = e.at;
    if (e.is(has_epoch)) epoch = e.epoch;
  }
  return out;
}

/// At most why_max bytes, and whole characters.
std::string_view cut(std::string_view why) {
  if (why.size() <= packed_events::why_max) return why;
  auto end = packed_events::why_max;
  while (end > 0 && (static_cast<unsigned char>(why[end]) & 0xc0U) == 0x80U) --end;
  return why.substr(0, end);
}

/// The text is that in `e`.
item item_of(const pne_event_line& e) {
  const auto why = cut(e.why);
  return {(e.unproven ? is_unproven : 0U) | (e.epoch != 0 ? has_epoch : 0U) | (why.empty() ? 0U : has_why) |
              (e.kind ? 0U : no_kind),
          static_cast<std::uint8_t>(e.kind ? static_cast<unsigned>(*e.kind) : 0U), unix_milliseconds(e.at),
          static_cast<std::int64_t>(e.epoch), why};
}
pne_event_line event_of(const item& i) {
  pne_event_line e;
  if (!i.is(no_kind)) e.kind = static_cast<kind_t>(i.kind);
  e.at = time_point{milliseconds{i.at}};
  e.unproven = i.is(is_unproven);
  e.epoch = static_cast<std::uint64_t>(i.epoch);
  e.why = i.why;
  return e;
}

bool is_failure(const item& i) {
  pne_event_line e;
  if (!i.is(no_kind)) e.kind = static_cast<kind_t>(i.kind);
  return line_of(e).level >= log::level::warn || e.kind == kind_t::backing_off || e.kind == kind_t::rejected;
}

/// Then every failure among the events is an earlier one.
bool has_dropped_failure(const std::vector<item>& all) { return !all.empty() && all.front().is(is_dropped); }

/// The last failure stays, in front of the events.
void drop(std::vector<item>& all, std::vector<item>::iterator which) {
  auto one = *which;
  const auto later = all.erase(which);
  if (has_dropped_failure(all) || !is_failure(one) || std::any_of(later, all.end(), is_failure)) return;
  one.flags |= is_dropped;
  all.insert(all.begin(), one);
}

}  // namespace

log::event_line line_of(const pne_event_line& e) {
  return e.kind ? protocol::describe_event(*e.kind) : write_failed;
}

void packed_events::add(const pne_event_line& e) {
  auto all = items_of(packed_);
  const auto oldest = all.begin() + (has_dropped_failure(all) ? 1 : 0);
  const auto unproven = [](const item& i) { return i.is(is_unproven); };
  if (e.unproven && std::count_if(oldest, all.end(), unproven) >= std::ptrdiff_t{unproven_max})
    drop(all, std::find_if(oldest, all.end(), unproven));
  else if (all.end() - oldest >= std::ptrdiff_t{events_max})
    drop(all, oldest);
  all.push_back(item_of(e));
  if (is_failure(all.back()) && has_dropped_failure(all)) all.erase(all.begin());
  packed_ = shared_text{packed_from(all)};
}

std::vector<pne_event_line> packed_events::all() const {
  std::vector<pne_event_line> out;
  for (const auto& i : items_of(packed_))
    if (!i.is(is_dropped)) out.push_back(event_of(i));
  return out;
}

std::optional<pne_event_line> packed_events::failure() const {
  const auto all = items_of(packed_);
  if (has_dropped_failure(all)) return event_of(all.front());
  const auto last = std::find_if(all.rbegin(), all.rend(), is_failure);
  return last == all.rend() ? std::nullopt : std::optional{event_of(*last)};
}

std::size_t packed_events::bytes() const { return packed_.bytes(); }

}  // namespace cpns::actors
