#include "plugins/host/description.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <sstream>
#include <string_view>

#include "base/text.hpp"
#include "plugins/sdk/parameters.h"

namespace cpns::plugins {
namespace {

constexpr std::uint32_t parameters_max = 256;
constexpr std::size_t text_max = 1024;

bool is_name(std::string_view n) {
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  return !n.empty() && n.size() <= 32 && n.front() >= 'a' && n.front() <= 'z' &&
         std::all_of(n.begin(), n.end(), fits);
}

/// At most text_max bytes and no control character, because it is printed to terminals as one line.
bool is_line(const char* text) {
  const auto size = strnlen(text, text_max + 1);
  return size <= text_max && std::none_of(text, text + size, [](char c) {
           return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
         });
}

cpns_parameter_spec view_of(const parameter_description& p) {
  return {p.name.c_str(),
          p.sentence.c_str(),
          p.kind,
          p.flags,
          p.preset ? p.preset->c_str() : nullptr,
          p.min,
          p.max,
          p.choices.empty() ? nullptr : p.choices.c_str()};
}

/// The requirement that `value` does not meet ("it must be ..."); empty: it fits.
std::string misfit(const parameter_description& p, const std::string& value) {
  char why[320];
  const auto spec = view_of(p);
  // The plugin would see the text only up to a NUL.
  if (value.find('\0') != std::string::npos) return "it must not contain a NUL";
  return cpns_parameter_fits(&spec, value.c_str(), why, sizeof why) ? std::string{} : why;
}

result<parameter_description> read(const cpns_parameter_spec& s, const std::string& plugin) {
  const auto wrong = [&](const std::string& what) {
    return fail(errc::plugin_misbehaved, plugin + " declares a parameter " + what);
  };
  if (s.name == nullptr || !is_name({s.name, strnlen(s.name, 64)}))
    return wrong("with an invalid name: 1 to 32 of a-z, 0-9 and '_' are allowed, a letter first");
  const std::string name = s.name;
  if (s.sentence == nullptr || *s.sentence == '\0' || !is_line(s.sentence))
    return wrong(name + " without a one-line sentence that describes it");
  if (s.kind < CPNS_PARAMETER_TEXT || s.kind > CPNS_PARAMETER_CHOICE)
    return wrong(name + " of an unknown kind: " + std::to_string(s.kind));
  if ((s.flags & CPNS_PARAMETER_OF_BOTH) == 0) return wrong(name + " for neither role");
  if ((s.choices != nullptr) != (s.kind == CPNS_PARAMETER_CHOICE) ||
      (s.choices != nullptr && (*s.choices == '\0' || !is_line(s.choices))))
    return wrong(name + (s.kind == CPNS_PARAMETER_CHOICE ? " without valid choices"
                                                         : " with choices, but not of the choice kind"));
  if (s.min > s.max) return wrong(name + " with min greater than max");
  parameter_description p{name,         s.sentence, s.kind, s.flags,
                          std::nullopt, s.min,      s.max,  s.choices != nullptr ? s.choices : ""};
  if (s.preset != nullptr) {
    if (!is_line(s.preset)) return wrong(name + " whose preset is not one line");
    if (const auto why = misfit(p, s.preset); !why.empty())
      return wrong(name + " whose preset is invalid: " + why);
    p.preset = s.preset;
  }
  return p;
}

std::string text_of(const char* t) { return t != nullptr && is_line(t) ? t : ""; }

std::string role_word(transport_role role) {
  return role == transport_role::central ? "the gateway" : "a PNE";
}

}  // namespace

bool parameter_description::is_of(transport_role role) const {
  return (flags &
          (role == transport_role::central ? CPNS_PARAMETER_OF_CENTRAL : CPNS_PARAMETER_OF_PERIPHERAL)) != 0;
}

std::string parameter_description::form() const {
  switch (kind) {
  case CPNS_PARAMETER_NUMBER: return "a number from " + std::to_string(min) + " to " + std::to_string(max);
  case CPNS_PARAMETER_BOOLEAN: return "true or false";
  case CPNS_PARAMETER_CHOICE: return "one of: " + choices;
  default: return "a text of " + std::to_string(min) + " to " + std::to_string(max) + " bytes";
  }
}

result<plugin_description> describe(const cpns_transport_entry_t& entry) {
  plugin_description out{text_of(entry.name),
                         text_of(entry.version),
                         text_of(entry.description),
                         entry.abi_major,
                         entry.abi_minor,
                         false,
                         {}};
  if (!CPNS_HAS(&entry, parameter_size) || entry.parameter_size == 0) return out;
  out.declares = true;
  if (entry.parameter_size < sizeof(cpns_parameter_spec) || entry.parameter_size > 4096 ||
      entry.parameter_size % alignof(cpns_parameter_spec) != 0 || entry.parameter_count > parameters_max ||
      (entry.parameters == nullptr && entry.parameter_count != 0))
    return fail(errc::plugin_misbehaved, out.name + " declares " + std::to_string(entry.parameter_count) +
                                             " parameters of " + std::to_string(entry.parameter_size) +
                                             " bytes each, which is not a valid list");
  const cpns_parameter_list list{entry.parameters, entry.parameter_count, entry.parameter_size};
  std::uint32_t addresses = 0;
  for (std::uint32_t i = 0; i < list.count; ++i) {
    CPNS_TRY(auto p, read(*cpns_parameter_at(&list, i), out.name));
    for (const auto& other : out.parameters)
      if (other.name == p.name)
        return fail(errc::plugin_misbehaved, out.name + " declares the parameter " + p.name + " twice");
    if (p.is_address()) {
      if ((addresses & p.flags) != 0)
        return fail(errc::plugin_misbehaved, out.name + " declares two address parameters for one role");
      addresses |= p.flags & CPNS_PARAMETER_OF_BOTH;
    }
    out.parameters.push_back(std::move(p));
  }
  return out;
}

std::vector<parameter_diagnostic> check_parameters(const plugin_description& plugin, transport_role role,
                                                   const std::map<std::string, std::string>& given) {
  std::vector<parameter_diagnostic> out;
  if (!plugin.declares) return out;
  std::vector<std::string_view> known;
  for (const auto& p : plugin.parameters)
    if (p.is_of(role)) known.push_back(p.name);
  for (const auto& [name, value] : given) {
    const auto it = std::find_if(plugin.parameters.begin(), plugin.parameters.end(),
                                 [&wanted = name](const auto& p) { return p.name == wanted; });
    if (it == plugin.parameters.end()) {
      std::string text = "parameter " + shown(name) + " is not known to " + plugin.name;
      if (const auto meant = nearest(name, known))
        text += "; did you mean '" + std::string{*meant} + "'?";
      else if (known.empty())
        text += ", which has no parameters";
      else {
        std::string names;
        for (const auto k : known) names += (names.empty() ? "" : ", ") + std::string{k};
        text += "; known are " + names;
      }
      out.push_back({name, errc::config_unknown_key, std::move(text)});
    } else if (!it->is_of(role)) {
      const auto other =
          role == transport_role::central ? transport_role::peripheral : transport_role::central;
      out.push_back({name, errc::config_unknown_key,
                     "parameter " + name + " of " + plugin.name + " is only for " + role_word(other) +
                         ", this is " + role_word(role)});
    } else if (const auto why = misfit(*it, value); !why.empty()) {
      out.push_back({name, errc::config_range,
                     "parameter " + name + " of " + plugin.name + ": " + why + ", not " + shown(value)});
    }
  }
  for (const auto& p : plugin.parameters)
    if (p.is_of(role) && !p.preset && given.count(p.name) == 0)
      out.push_back({p.name, errc::config_missing,
                     "parameter " + p.name + " of " + plugin.name + " is missing: " + p.sentence});
  return out;
}

std::map<std::string, std::string> with_presets(const plugin_description& plugin, transport_role role,
                                                std::map<std::string, std::string> given) {
  for (const auto& p : plugin.parameters)
    if (p.is_of(role) && p.preset) given.emplace(p.name, *p.preset);
  return given;
}

std::string to_lines(const plugin_description& d) {
  std::string out = d.name + "\n" + d.version + "\n" + d.description + "\n" + std::to_string(d.abi_major) +
                    " " + std::to_string(d.abi_minor) + " " + (d.declares ? "1 " : "0 ") +
                    std::to_string(d.parameters.size()) + "\n";
  for (const auto& p : d.parameters)
    out += p.name + "\n" + p.sentence + "\n" + (p.preset ? "=" + *p.preset : "-") + "\n" + p.choices + "\n" +
           std::to_string(p.kind) + " " + std::to_string(p.flags) + " " + std::to_string(p.min) + " " +
           std::to_string(p.max) + "\n";
  return out;
}

std::optional<plugin_description> from_lines(const std::string& lines) {
  std::istringstream in{lines};
  plugin_description d;
  std::size_t count = 0;
  std::string numbers;
  if (!std::getline(in, d.name) || !std::getline(in, d.version) || !std::getline(in, d.description) ||
      !std::getline(in, numbers) ||
      !(std::istringstream{numbers} >> d.abi_major >> d.abi_minor >> d.declares >> count) ||
      count > parameters_max)
    return std::nullopt;
  for (std::size_t i = 0; i < count; ++i) {
    parameter_description p;
    std::string preset;
    if (!std::getline(in, p.name) || !std::getline(in, p.sentence) || !std::getline(in, preset) ||
        !std::getline(in, p.choices) || !std::getline(in, numbers) ||
        !(std::istringstream{numbers} >> p.kind >> p.flags >> p.min >> p.max) || preset.empty())
      return std::nullopt;
    if (preset.front() == '=') p.preset = preset.substr(1);
    d.parameters.push_back(std::move(p));
  }
  return d;
}

}  // namespace cpns::plugins
