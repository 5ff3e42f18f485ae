#include "plugins/isolation/wire.hpp"

#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

#include "plugins/host/extensions.hpp"

namespace cpns::plugins::isolation {
namespace {

constexpr byte_array<4> head{'c', 'r', wire_version, 0};
constexpr std::size_t record_head = 5;  // kind, size of the body
constexpr std::size_t params_max = 1024;
constexpr std::size_t counters_max = 128;
constexpr std::size_t counter_name_max = 64;
constexpr std::uint32_t mtu_max = 65535, mtu_min = 23;

// One description of each record, used by writer and reader.
template <class V>
void describe(V& v, open_command& r) {
  v.word(r.role, transport_role::peripheral);
  v.word(r.level, log::level::off);
  v.text(r.plugin, parameter_max);
  v.texts(r.params);
}
template <class V>
void describe(V& v, scan_command& r) {
  v.flag(r.on);
}
template <class V>
void describe(V& v, connect_command& r) {
  v.text(r.address, address_max);
}
template <class V>
void describe(V& v, cancel_command& r) {
  v.text(r.address, address_max);
}
template <class V>
void describe(V& v, add_command& r) {
  v.number(r.endpoint);
  v.text(r.name, text_max);
}
template <class V>
void describe(V& v, remove_command& r) {
  v.number(r.endpoint);
}
template <class V>
void describe(V& v, send_command& r) {
  v.number(r.link);
  v.view(r.message, message_max);
}
template <class V>
void describe(V& v, disconnect_command& r) {
  v.number(r.link);
}
template <class V>
void describe(V& v, ping_command& r) {
  v.number(r.number);
  v.word(r.level, log::level::off);
}
template <class V>
void describe(V&, close_command&) {}
template <class V>
void describe(V& v, power_command& r) {
  v.word(r.power, power_level::saving);
}
template <class V>
void describe(V& v, forget_command& r) {
  v.text(r.address, address_max);
}
template <class V>
void describe(V& v, opened_report& r) {
  v.text(r.info.name, text_max);
  v.text(r.info.version, text_max);
  v.text(r.info.description, text_max);
  v.number(r.info.mtu, mtu_min, mtu_max);
  v.number(r.info.max_links, 1u, ~0u);
  v.number(r.info.max_endpoints);
  v.flag(r.info.reliable);
  v.flag(r.info.ordered);
  v.flag(r.info.may_scan_while_connected);
  v.number(r.info.duty_permille, 0u, 1000u);
}
template <class V>
void describe(V& v, refused_report& r) {
  v.code(r.code);
  v.text(r.detail, text_max);
  v.text(r.parameter, text_max);
}
template <class V>
void describe(V& v, up_report& r) {
  v.number(r.link);
  v.number(r.endpoint);
  v.text(r.address, address_max);
}
template <class V>
void describe(V& v, down_report& r) {
  v.number(r.link);
  v.text(r.reason, text_max);
}
template <class V>
void describe(V& v, message_report& r) {
  v.number(r.link);
  v.view(r.message, message_max);
}
template <class V>
void describe(V& v, found_report& r) {
  v.text(r.address, address_max);
  v.number(r.rssi);
}
template <class V>
void describe(V& v, connect_failed_report& r) {
  v.text(r.address, address_max);
  v.text(r.why, text_max);
}
template <class V>
void describe(V& v, failed_report& r) {
  v.text(r.detail, text_max);
}
template <class V>
void describe(V& v, taken_report& r) {
  v.number(r.link);
  v.number(r.messages);
}
template <class V>
void describe(V& v, call_failed_report& r) {
  v.number(r.endpoint);
  v.text(r.detail, text_max);
}
template <class V>
void describe(V& v, log_report& r) {
  v.word(r.level, log::level::error);
  v.event_name(r.event);
  v.text(r.text, text_max);
}
template <class V>
void describe(V& v, pong_report& r) {
  v.number(r.number);
}

template <class V>
void describe(V& v, woke_report& r) {
  v.text(r.address, address_max);
}
template <class V>
void describe(V& v, quality_report& r) {
  v.number(r.link);
  v.optional(r.quality.rssi_dbm, rssi_least, rssi_most);
  v.word(r.quality.security, link_security::authenticated);
}
template <class V>
void describe(V& v, counters_report& r) {
  v.counters(r.counters);
}

template <class N>
using unsigned_of = std::make_unsigned_t<N>;

class writer {
 public:
  explicit writer(bytes& out) : out_(out) {}
  template <class N>
  void number(const N& n, N = 0, N = 0) {
    for (std::size_t i = 0; i < sizeof(N); ++i)
      out_.push_back(static_cast<std::uint8_t>(static_cast<unsigned_of<N>>(n) >> (8 * i)));
  }
  void flag(bool on) { out_.push_back(on ? 1 : 0); }
  template <class E>
  void word(const E& e, E) {
    out_.push_back(static_cast<std::uint8_t>(e));
  }
  void code(const errc& c) { number(static_cast<std::uint16_t>(c)); }
  void view(const byte_view& b, std::size_t most) {
    if (b.size() > most) fits_ = false;
    number(static_cast<std::uint32_t>(b.size()));
    out_.insert(out_.end(), b.begin(), b.end());
  }
  void text(const std::string& s, std::size_t most) { view(as_bytes(s), most); }
  void event_name(const std::string& s) { text(s, text_max); }
  void texts(const std::map<std::string, std::string>& all) {
    if (all.size() > params_max) fits_ = false;
    number(static_cast<std::uint32_t>(all.size()));
    for (const auto& [k, v] : all) text(k, text_max), text(v, parameter_max);
  }
  void optional(const std::optional<std::int32_t>& n, std::int32_t, std::int32_t) {
    flag(n.has_value());
    number(n.value_or(0));
  }
  void counters(const std::vector<named_counter>& all) {
    if (all.size() > counters_max) fits_ = false;
    number(static_cast<std::uint32_t>(all.size()));
    for (const auto& c : all) text(c.name, counter_name_max), number(c.value);
  }
  [[nodiscard]] bool fits() const { return fits_; }

 private:
  bytes& out_;
  bool fits_ = true;
};

class reader {
 public:
  explicit reader(byte_view b) : rest_(b) {}
  template <class N>
  void number(N& n, N least = std::numeric_limits<N>::min(), N most = std::numeric_limits<N>::max()) {
    const auto b = take(sizeof(N));
    unsigned_of<N> v = 0;
    for (std::size_t i = 0; i < b.size(); ++i)
      v = static_cast<unsigned_of<N>>(v | static_cast<unsigned_of<N>>(unsigned_of<N>{b[i]} << (8 * i)));
    n = static_cast<N>(v);
    if (n < least || n > most) wrong(errc::wire_range);
  }
  void flag(bool& on) {
    std::uint8_t v = 0;
    number<std::uint8_t>(v, 0, 1);
    on = v == 1;
  }
  template <class E>
  void word(E& e, E last) {
    std::uint8_t v = 0;
    number<std::uint8_t>(v, 0, static_cast<std::uint8_t>(last));
    if (!wrong_) e = static_cast<E>(v);
  }
  void code(errc& c) {
    std::uint16_t v = 0;
    number(v);
    const auto named = static_cast<errc>(v);
    if (named != errc::internal && name_of(named) == name_of(errc::internal)) wrong(errc::wire_range);
    if (!wrong_) c = named;
  }
  void view(byte_view& out, std::size_t most) {
    std::uint32_t size = 0;
    number(size);
    if (size > most) wrong(errc::wire_oversized);
    out = take(wrong_ ? 0 : size);
  }
  void text(std::string& out, std::size_t most) {
    byte_view b;
    view(b, most);
    out = as_text(b);
  }
  /// Strict, because the name is written to the log unescaped.
  void event_name(std::string& out) {
    text(out, 64);
    if (out.empty()) wrong(errc::wire_grammar);
    for (char c : out)
      if (c != '-' && (c < 'a' || c > 'z')) wrong(errc::wire_grammar);
  }
  void texts(std::map<std::string, std::string>& out) {
    std::uint32_t count = 0;
    number<std::uint32_t>(count, 0, params_max);
    for (std::uint32_t i = 0; i < count && !wrong_; ++i) {
      std::string k, v;
      text(k, text_max), text(v, parameter_max);
      if (!out.empty() && k <= out.rbegin()->first) wrong(errc::wire_order);
      out.emplace(std::move(k), std::move(v));
    }
  }
  void optional(std::optional<std::int32_t>& n, std::int32_t least, std::int32_t most) {
    bool there = false;
    std::int32_t v = 0;
    flag(there), number(v);
    if (there ? v < least || v > most : v != 0) wrong(errc::wire_range);
    if (there && !wrong_) n = v;
  }
  void counters(std::vector<named_counter>& out) {
    std::uint32_t count = 0;
    number<std::uint32_t>(count, 0, counters_max);
    for (std::uint32_t i = 0; i < count && !wrong_; ++i) {
      named_counter c;
      text(c.name, counter_name_max), number(c.value);
      if (!is_counter_name(c.name, counter_name_max)) wrong(errc::wire_grammar);
      out.push_back(std::move(c));
    }
  }
  byte_view take(std::size_t n) {
    if (n > rest_.size()) wrong(errc::wire_truncated);
    if (wrong_) return {};
    const auto out = rest_.first(n);
    rest_ = rest_.subspan(n);
    return out;
  }
  void wrong(errc why) {
    if (!wrong_) wrong_ = why;
  }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  [[nodiscard]] std::optional<errc> why() const { return wrong_; }

 private:
  byte_view rest_;
  std::optional<errc> wrong_;
};

/// Reads the variant's alternative number `kind` from `body`.
template <class Variant, std::size_t I = 0>
result<Variant> read_record(std::uint8_t kind, byte_view body) {
  if constexpr (I == std::variant_size_v<Variant>) {
    return fail(errc::wire_unknown_message, "record of kind " + std::to_string(kind));
  } else {
    if (kind != I) return read_record<Variant, I + 1>(kind, body);
    std::variant_alternative_t<I, Variant> record;
    reader r{body};
    describe(r, record);
    if (!r.why() && !r.at_end()) r.wrong(errc::wire_trailing);
    if (r.why()) return fail(*r.why(), "in a record of kind " + std::to_string(kind));
    return Variant{std::move(record)};
  }
}

template <class Variant>
result<std::vector<Variant>> read_packet(byte_view packet) {
  if (packet.size() > packet_max) return fail(errc::wire_oversized, "packet");
  if (packet.size() < head.size()) return fail(errc::wire_truncated, "packet without a head");
  if (!equal(packet.first(head.size()), head)) return fail(errc::wire_grammar, "head of a packet");
  auto rest = packet.subspan(head.size());
  if (rest.empty()) return fail(errc::wire_truncated, "packet without a record");
  std::vector<Variant> out;
  while (!rest.empty()) {
    reader r{rest};
    std::uint8_t kind = 0;
    std::uint32_t size = 0;
    r.number(kind), r.number(size);
    const auto body = r.take(size);
    if (r.why()) return fail(*r.why(), "head of a record");
    CPNS_TRY(auto record, read_record<Variant>(kind, body));
    out.push_back(std::move(record));
    rest = rest.subspan(record_head + size);
  }
  return out;
}

}  // namespace

template <class Record>
status packets::add_record(const Record& r) {
  if (empty()) begin_packet();
  const auto begin = done_.back().size();
  auto& packet = done_.back();
  packet.resize(begin + record_head);
  writer w{packet};
  std::visit(
      [&w](const auto& one) {
        // The reader shares the description and needs mutable fields; the writer only reads them.
        describe(w, const_cast<std::remove_const_t<std::remove_reference_t<decltype(one)>>&>(one));
      },
      r);
  const auto size = packet.size() - begin;
  packet[begin] = static_cast<std::uint8_t>(r.index());
  for (std::size_t i = 0; i < 4; ++i)
    packet[begin + 1 + i] = static_cast<std::uint8_t>((size - record_head) >> (8 * i));
  const bool fits = w.fits() && head.size() + size <= packet_max;
  if (fits && packet.size() <= packet_max) {
    held_ += size;
    return {};
  }
  const bytes record{packet.begin() + static_cast<std::ptrdiff_t>(begin), packet.end()};
  packet.resize(begin);
  if (!fits) {
    if (begin == head.size()) {
      done_.pop_back();
      held_ -= head.size();
    }
    return fail(errc::wire_oversized, "it is too long for the socket to the radio's process");
  }
  begin_packet();
  done_.back().insert(done_.back().end(), record.begin(), record.end());
  held_ += size;
  return {};
}

void packets::begin_packet() {
  done_.emplace_back(head.begin(), head.end());
  held_ += head.size();
}

status packets::add(const command& c) { return add_record(c); }
status packets::add(const report& r) { return add_record(r); }

bytes packets::take() {
  auto out = std::move(done_.front());
  done_.pop_front();
  held_ -= out.size();
  return out;
}

void packets::clear() {
  done_.clear();
  held_ = 0;
}

result<std::vector<command>> read_commands(byte_view packet) { return read_packet<command>(packet); }
result<std::vector<report>> read_reports(byte_view packet) { return read_packet<report>(packet); }

std::string cut(std::string_view text, std::size_t most) { return std::string{text.substr(0, most)}; }

}  // namespace cpns::plugins::isolation
