#include "protocol/application_identity.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

namespace cpns::protocol {
namespace {

constexpr std::string_view urn_prefix = "urn:";
/// As they stand in an identity. No scheme has a ':' behind its prefix.
constexpr std::array<std::string_view, 4> identity_schemes{"dev.mac.", "gsma.imei.", "uuid.", "dev.os."};

std::optional<entity_id> named_entity(std::string_view text) {
  for (const auto scheme : identity_schemes) {
    if (!text.starts_with(scheme)) continue;
    std::string name{urn_prefix};
    name += scheme;
    std::replace(name.begin(), name.end(), '.', ':');
    name += text.substr(scheme.size());
    if (auto id = entity_id::parse(name)) return std::move(*id);
  }
  return std::nullopt;
}

template <class Number>
std::optional<Number> plain_number(std::string_view text) {
  Number out = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  const bool padded = text.size() > 1 && text.front() == '0';
  if (ec != std::errc{} || end != text.data() + text.size() || padded) return std::nullopt;
  return out;
}

std::optional<epoch> named_epoch(std::string_view text) {
  const auto dot = text.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const auto generation = plain_number<std::uint32_t>(text.substr(0, dot));
  const auto index = plain_number<std::uint16_t>(text.substr(dot + 1));
  if (!generation || !index) return std::nullopt;
  return epoch{*generation, *index};
}

}  // namespace

bool is_purpose(std::string_view text) {
  return !text.empty() && text.size() <= purpose_max && text.front() != '-' &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

std::string readable_identity(const application_identity& of) {
  auto out = of.entity.text().substr(urn_prefix.size());
  std::replace(out.begin(), out.end(), ':', '.');
  return out + "/" + of.which.text() + "/" + of.purpose;
}

std::optional<application_identity> read_readable_identity(std::string_view text) {
  const auto first = text.find('/'), last = text.rfind('/');
  if (first == std::string_view::npos || first == last) return std::nullopt;
  const auto purpose = text.substr(last + 1);
  auto entity = named_entity(text.substr(0, first));
  const auto which = named_epoch(text.substr(first + 1, last - first - 1));
  if (!entity || !which || !is_purpose(purpose)) return std::nullopt;
  return application_identity{std::move(*entity), *which, std::string{purpose}};
}

}  // namespace cpns::protocol
