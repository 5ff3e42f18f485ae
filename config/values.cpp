#include "config/values.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <utility>

namespace cpns::config {
namespace {

constexpr std::array<std::pair<std::string_view, std::int64_t>, 5> units{
    {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};

constexpr std::array<std::pair<std::string_view, std::uint64_t>, 2> memory_units{
    {{"MiB", std::uint64_t{1} << 20}, {"GiB", std::uint64_t{1} << 30}}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// config_range with `too_large`, or config_type with `other`, behind the text.
template <class Number, std::size_t N>
result<Number> number_with_unit(std::string_view text,
                                const std::array<std::pair<std::string_view, Number>, N>& known,
                                std::string_view too_large, std::string_view other) {
  const auto digits = std::find_if_not(text.begin(), text.end(), is_digit) - text.begin();
  const auto unit = text.substr(static_cast<std::size_t>(digits));
  Number count = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + digits, count);
  for (const auto& [word, factor] : known) {
    if (unit != word || digits == 0) continue;
    if (ec != std::errc{} || count > std::numeric_limits<Number>::max() / factor)
      return fail(errc::config_range, shown(text) + std::string{too_large});
    return count * factor;
  }
  return fail(errc::config_type, shown(text) + std::string{other});
}

}  // namespace

std::string address::text() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

result<milliseconds> parse_duration(std::string_view text) {
  CPNS_TRY(
      const auto count,
      number_with_unit(text, units, " is too long",
                       " is not a duration: write a whole number and ms, s, m, h or d, for example 10s"));
  return milliseconds(count);
}

std::string duration_text(milliseconds d) {
  const auto count = d.count();
  for (auto u = units.rbegin(); u != units.rend(); ++u)
    if (count != 0 && count % u->second == 0)
      return std::to_string(count / u->second) + std::string{u->first};
  return "0s";
}

result<memory_size> parse_memory_size(std::string_view text) {
  CPNS_TRY(const auto bytes,
           number_with_unit(text, memory_units, " is too much",
                            " is not a size: write a whole number and MiB or GiB, for example 256MiB"));
  return memory_size{bytes};
}

std::string memory_text(memory_size m) {
  const auto& [word, factor] =
      m.bytes != 0 && m.bytes % memory_units[1].second == 0 ? memory_units[1] : memory_units[0];
  return std::to_string(m.bytes / factor) + std::string{word};
}

result<address> parse_address(std::string_view text) {
  const auto wrong = [&](std::string_view why) {
    return fail(errc::config_type,
                shown(text) + " is not an address: " + std::string{why} + "; write host:port or [IPv6]:port");
  };
  if (text.find('/') != std::string_view::npos)
    return fail(errc::config_type,
                shown(text) + " is a URL or a path; write host:port alone, without https:// and /");
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong("the port is missing");
  auto host = text.substr(0, colon);
  const auto port_text = text.substr(colon + 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (!bracketed && host.find(':') != std::string_view::npos) return wrong("an IPv6 host needs brackets");
  if (host.empty() || host.size() > 253) return wrong("the host is missing or too long");
  // The resolver decides which names exist; a character that no name may contain is a typo.
  if (!std::all_of(host.begin(), host.end(), [&](char c) {
        return is_digit(c) || is_letter(c) || c == '.' || c == '-' || c == '_' ||
               (bracketed && (c == ':' || c == '%'));
      }))
    return wrong(std::any_of(host.begin(), host.end(), [](char c) { return (c & 0x80) != 0; })
                     ? "the host is not ASCII; write its form that begins with xn--"
                     : "the host has a character that is not allowed");
  std::uint16_t port = 0;
  const auto [end, ec] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (port_text.empty() || ec != std::errc{} || end != port_text.data() + port_text.size())
    return wrong("the port is not a number from 0 to 65535");
  return address{std::string{host}, port};
}

result<https_url> parse_https_url(std::string_view text) {
  constexpr std::string_view scheme = "https://";
  if (text.starts_with("http://"))
    return fail(errc::config_type, shown(text) +
                                       " is plain HTTP, and Temporary Keys go over TLS alone; write "
                                       "https://host:port/path");
  if (!text.starts_with(scheme))
    return fail(errc::config_type, shown(text) + " is not a URL; write https://host:port/path");
  const auto rest = text.substr(scheme.size());
  const auto slash = std::min(rest.find('/'), rest.size());
  std::string host{rest.substr(0, slash)};
  auto below = rest.substr(slash);
  while (below.ends_with('/')) below.remove_suffix(1);
  if (!std::all_of(below.begin(), below.end(), [](char c) {
        return is_digit(c) || is_letter(c) || std::string_view{"/-._~"}.find(c) != std::string_view::npos;
      }))
    return fail(errc::config_type, shown(text) + " has a path with other characters than letters, digits, "
                                                 "'/', '-', '.', '_' and '~'");
  const bool has_port =
      host.ends_with(']') ? false : host.rfind(':') != std::string::npos && !host.ends_with(':');
  if (!has_port) host += ":443";
  auto at = parse_address(host);
  if (!at) return fail(std::move(at).error());
  if (at->port == 0)
    return fail(errc::config_type, shown(text) + " has port 0; write a port from 1 to 65535");
  return https_url{*std::move(at), std::string{below}};
}

std::string wrong_name(std::string_view text) {
  const auto fits = [](char c) { return is_letter(c) || is_digit(c) || c == '.' || c == '_' || c == '-'; };
  if (text.empty() || text.size() > 64 || !std::all_of(text.begin(), text.end(), fits))
    return shown(text) + " is not a name: 1 to 64 letters, digits, '.', '_' and '-'";
  return {};
}

environment process_environment() {
  return [](std::string_view name) -> std::optional<std::string> {
    const char* value = std::getenv(std::string{name}.c_str());
    if (value == nullptr) return std::nullopt;
    return std::string{value};
  };
}

result<std::string> expand(std::string_view text, const environment& env) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    if (text.substr(i).starts_with("$${")) {
      out += "${";
      i += 3;
      continue;
    }
    if (!text.substr(i).starts_with("${")) {
      out += text[i++];
      continue;
    }
    const auto close = text.find('}', i);
    if (close == std::string_view::npos)
      return fail(errc::config_syntax, "a '${' has no '}'; write $${ for a literal one");
    const auto body = text.substr(i + 2, close - i - 2);
    const auto dash = body.find(":-");
    const auto name = body.substr(0, dash);
    const bool well_formed =
        !name.empty() && !is_digit(name[0]) &&
        std::all_of(name.begin(), name.end(), [](char c) { return is_digit(c) || is_letter(c) || c == '_'; });
    if (!well_formed)
      return fail(errc::config_syntax, shown(body) + " is not the name of an environment variable");
    const auto value = env(name);
    if (value && !value->empty())
      out += *value;
    else if (dash != std::string_view::npos)
      out += body.substr(dash + 2);
    else if (value)
      out += *value;
    else
      return fail(errc::config_missing, "the environment variable " + std::string{name} +
                                            " is not set; set it, or write ${" + std::string{name} +
                                            ":-default}");
    i = close + 1;
  }
  if (out.size() > 65'536) return fail(errc::config_range, "the value is longer than 64 KiB after expansion");
  return out;
}

}  // namespace cpns::config
