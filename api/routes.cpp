#include "api/routes.hpp"

#include <algorithm>

#include "base/bytes.hpp"

namespace cpns::api {
namespace {

std::vector<std::string_view> parts_of(std::string_view path) {
  std::vector<std::string_view> out;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const auto end = std::min(path.find('/'), path.size());
    out.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return out;
}

bool is_value(std::string_view part) { return part.size() > 2 && part.front() == '{' && part.back() == '}'; }

std::optional<text_map> match(std::string_view pattern, std::string_view path) {
  if (path.empty() || path.front() != '/') return std::nullopt;
  const auto wanted = parts_of(pattern), got = parts_of(path);
  if (wanted.size() != got.size()) return std::nullopt;
  text_map values;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (!is_value(wanted[i])) {
      if (wanted[i] != got[i]) return std::nullopt;
      continue;
    }
    auto value = decode_percent(got[i]);
    if (!value || value->empty()) return std::nullopt;
    values.emplace(wanted[i].substr(1, wanted[i].size() - 2), std::move(*value));
  }
  return values;
}

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  return std::nullopt;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const auto length = utf8_length(as_bytes(text));
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace

std::string_view name_of(verb v) {
  switch (v) {
  case verb::get: return "GET";
  case verb::post: return "POST";
  case verb::put: return "PUT";
  case verb::patch: return "PATCH";
  case verb::del: return "DELETE";
  }
  return "?";
}

void route_table::add(route r) { routes_.push_back(std::move(r)); }

void route_table::add(std::vector<route> all) {
  for (auto& r : all) add(std::move(r));
}

route_match route_table::find(verb v, std::string_view path) const {
  for (const auto& r : routes_) {
    if (r.verb != v) continue;
    if (auto values = match(r.path, path)) return {&r, std::move(*values)};
  }
  return {};
}

std::vector<verb> route_table::verbs_of(std::string_view path, bool probes) const {
  std::vector<verb> out;
  for (const auto& r : routes_)
    if ((r.probe || !probes) && match(r.path, path)) out.push_back(r.verb);
  return out;
}

std::optional<std::string> decode_percent(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const auto high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
    if (!high || !low) return std::nullopt;
    out += static_cast<char>(*high << 4U | *low);
    i += 2;
  }
  if (out.find('\0') != std::string::npos || !is_utf8(out)) return std::nullopt;
  return out;
}

std::string encode_percent(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    const bool plain = (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || (u >= '0' && u <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain)
      out += c;
    else
      out += {'%', digits[u >> 4U], digits[u & 15U]};
  }
  return out;
}

std::optional<text_map> parse_query(std::string_view text) {
  text_map out;
  while (!text.empty()) {
    const auto end = std::min(text.find('&'), text.size());
    std::string part{text.substr(0, end)};
    text.remove_prefix(std::min(end + 1, text.size()));
    if (part.empty()) continue;
    std::replace(part.begin(), part.end(), '+', ' ');
    const auto equals = std::min(part.find('='), part.size());
    auto name = decode_percent(std::string_view{part}.substr(0, equals));
    auto value = decode_percent(std::string_view{part}.substr(std::min(equals + 1, part.size())));
    if (!name || !value || !out.emplace(std::move(*name), std::move(*value)).second) return std::nullopt;
  }
  return out;
}

}  // namespace cpns::api
