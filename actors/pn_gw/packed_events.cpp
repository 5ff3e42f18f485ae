#include "actors/pn_gw/packed_events.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace cpns::actors {
namespace {

using kind_t = protocol::gw_event::kind_t;

constexpr log::event_line write_failed{"record-not-written", log::level::error, "",
                                       "the record of the PNE could not be written"};

// An event: a byte of flags, a byte of the kind, 6 bytes of milliseconds, then as the flags say 6 bytes of the epoch, and
// a byte of the length of the text with the text.
enum flag : unsigned {
  is_unproven = 1,
  has_epoch = 2,
  has_why = 4,
  no_kind = 8,
  is_dropped = 16  ///< a failure that is not among the events any more
};
constexpr std::size_t number_size = 6, head_size = 2 + number_size;

unsigned byte_at(std::string_view in, std::size_t at) { return static_cast<unsigned char>(in[at]); }

void put_number(std::string& to, std::uint64_t n) {
  for (std::size_t i = 0; i < number_size; ++i) to.push_back(static_cast<char>(n >> (8 * i) & 0xffU));
}
std::uint64_t number_at(std::string_view in, std::size_t at) {
  std::uint64_t n = 0;
  for (std::size_t i = number_size; i-- > 0;) n = n << 8 | byte_at(in, at + i);
  return n;
}

/// Bytes of the event at `at`.
std::size_t size_at(std::string_view in, std::size_t at) {
  const auto flags = byte_at(in, at);
  const auto text_at = head_size + ((flags & has_epoch) != 0 ? number_size : 0);
  return text_at + ((flags & has_why) != 0 ? 1 + byte_at(in, at + text_at) : 0);
}

pne_event_line event_at(std::string_view in, std::size_t at) {
  pne_event_line e;
  const auto flags = byte_at(in, at);
  if ((flags & no_kind) == 0) e.kind = static_cast<kind_t>(byte_at(in, at + 1));
  e.at = time_point{milliseconds{static_cast<std::int64_t>(number_at(in, at + 2))}};
  e.unproven = (flags & is_unproven) != 0;
  at += head_size;
  if ((flags & has_epoch) != 0) e.epoch = number_at(in, std::exchange(at, at + number_size));
  if ((flags & has_why) != 0) e.why = in.substr(at + 1, byte_at(in, at));
  return e;
}

bool is_failure(const pne_event_line& e) {
  return line_of(e).level >= log::level::warn || e.kind == kind_t::backing_off || e.kind == kind_t::rejected;
}
bool is_failure_at(std::string_view in, std::size_t at) {
  pne_event_line e;
  if ((byte_at(in, at) & no_kind) == 0) e.kind = static_cast<kind_t>(byte_at(in, at + 1));
  return is_failure(e);
}

/// Then every failure among the events is an earlier one.
bool has_dropped_failure(std::string_view in) { return !in.empty() && (byte_at(in, 0) & is_dropped) != 0; }

/// At most why_max bytes, and whole characters.
std::string_view cut(std::string_view why) {
  if (why.size() <= packed_events::why_max) return why;
  auto end = packed_events::why_max;
  while (end > 0 && (static_cast<unsigned char>(why[end]) & 0xc0U) == 0x80U) --end;
  return why.substr(0, end);
}

void put_event(std::string& to, const pne_event_line& e) {
  const auto why = cut(e.why);
  const unsigned flags = (e.unproven ? is_unproven : 0U) | (e.epoch != 0 ? has_epoch : 0U) |
                         (why.empty() ? 0U : has_why) | (e.kind ? 0U : no_kind);
  to.push_back(static_cast<char>(flags));
  to.push_back(static_cast<char>(e.kind ? static_cast<unsigned>(*e.kind) : 0U));
  put_number(to, static_cast<std::uint64_t>(std::max<std::int64_t>(unix_milliseconds(e.at), 0)));
  if (e.epoch != 0) put_number(to, e.epoch);
  if (why.empty()) return;
  to.push_back(static_cast<char>(why.size()));
  to += why;
}

/// The event at `from`. The last failure stays, in front of the events.
void drop(std::string& packed, std::size_t from) {
  auto one = packed.substr(from, size_at(packed, from));
  packed.erase(from, one.size());
  if (has_dropped_failure(packed) || !is_failure_at(one, 0)) return;
  for (auto later = from; later < packed.size(); later += size_at(packed, later))
    if (is_failure_at(packed, later)) return;
  one[0] = static_cast<char>(byte_at(one, 0) | is_dropped);
  packed.insert(0, one);
}

}  // namespace

log::event_line line_of(const pne_event_line& e) {
  return e.kind ? protocol::describe_event(*e.kind) : write_failed;
}

void packed_events::add(const pne_event_line& e) {
  std::string packed;
  packed.reserve(packed_.view().size() + head_size + number_size + 1 + std::min(e.why.size(), why_max));
  packed = packed_.view();
  std::size_t count = 0, unproven = 0, oldest = 0, oldest_unproven = 0;
  for (std::size_t at = 0; at < packed.size(); at += size_at(packed, at)) {
    const auto flags = byte_at(packed, at);
    if ((flags & is_dropped) != 0) continue;
    if (count++ == 0) oldest = at;
    if ((flags & is_unproven) != 0 && unproven++ == 0) oldest_unproven = at;
  }
  if (e.unproven && unproven >= unproven_max)
    drop(packed, oldest_unproven);
  else if (count >= events_max)
    drop(packed, oldest);
  if (is_failure(e) && has_dropped_failure(packed)) packed.erase(0, size_at(packed, 0));
  put_event(packed, e);
  packed_ = shared_text{packed};
}

std::vector<pne_event_line> packed_events::all() const {
  const auto packed = packed_.view();
  std::vector<pne_event_line> out;
  for (std::size_t at = 0; at < packed.size(); at += size_at(packed, at))
    if ((byte_at(packed, at) & is_dropped) == 0) out.push_back(event_at(packed, at));
  return out;
}

std::optional<pne_event_line> packed_events::failure() const {
  const auto packed = packed_.view();
  if (has_dropped_failure(packed)) return event_at(packed, 0);
  std::optional<std::size_t> last;
  for (std::size_t at = 0; at < packed.size(); at += size_at(packed, at))
    if (is_failure_at(packed, at)) last = at;
  return last ? std::optional{event_at(packed, *last)} : std::nullopt;
}

std::size_t packed_events::bytes() const { return packed_.bytes(); }

}  // namespace cpns::actors
