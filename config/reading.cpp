#include "config/reading.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/entity_range.hpp"
#include "base/ids.hpp"
#include "base/psk_identity.hpp"

namespace cpns::config {
namespace {

std::string_view kind_text(const yaml_node& n) {
  switch (n.is) {
  case yaml_node::kind::none: return "nothing";
  case yaml_node::kind::scalar: return "a single value";
  case yaml_node::kind::list: return "a list";
  case yaml_node::kind::map: return "a section";
  }
  return "nothing";
}

void wrong_type(reading& r, const std::string& key, const yaml_node& n, std::string_view wanted) {
  std::string text = (key.empty() ? std::string{"the file"} : "'" + key + "'") + " must be " +
                     std::string{wanted} + ", not ";
  text += n.is == yaml_node::kind::scalar ? shown(n.text) : std::string{kind_text(n)};
  r.found.add(n.at, errc::config_type, std::move(text));
}

/// The value after expansion.
std::optional<std::string> scalar(reading& r, const std::string& key, const yaml_node& n,
                                  std::string_view wanted) {
  if (n.is != yaml_node::kind::scalar) {
    wrong_type(r, key, n, wanted);
    return std::nullopt;
  }
  auto value = expand(n.text, r.env);
  if (!value) {
    r.found.add(n.at, value.error().code, "'" + key + "': " + value.error().detail);
    return std::nullopt;
  }
  return std::move(*value);
}

bool out_of_range(reading& r, const std::string& key, const yaml_node& n, std::string_view low,
                  std::string_view high, std::string_view value) {
  r.found.add(n.at, errc::config_range,
              "'" + key + "' must be from " + std::string{low} + " to " + std::string{high} + ", not " +
                  std::string{value});
  return false;
}

bool take_number(reading& r, const std::string& key, const yaml_node& n, const rules& is, std::int64_t low,
                 std::int64_t high, std::int64_t& out) {
  const auto text = scalar(r, key, n, "a whole number");
  if (!text) return false;
  // A number in quotes is a text, unless the quotes enclose an expansion.
  if (n.quoted && n.text.find("${") == std::string::npos) {
    r.found.add(n.at, errc::config_type,
                "'" + key + "' must be a whole number, not a text; remove the quotes");
    return false;
  }
  low = std::max(low, is.min);
  high = std::min(high, is.max);
  std::int64_t value = 0;
  const auto [end, ec] = std::from_chars(text->data(), text->data() + text->size(), value);
  const bool octal = text->size() > 1 && (*text)[0] == '0';
  if (text->empty() || end != text->data() + text->size() || ec == std::errc::invalid_argument || octal) {
    r.found.add(n.at, errc::config_type, "'" + key + "' must be a whole number, not " + shown(*text));
    return false;
  }
  if (ec != std::errc{} || value < low || value > high)
    return out_of_range(r, key, n, std::to_string(low), std::to_string(high), shown(*text));
  out = value;
  return true;
}

std::string wrong_identity(std::string_view text) {
  if (is_psk_identity(text)) return {};
  return shown(text) + " is not an identity: write " + std::string{psk_identity_prefix} +
         " and 1 to 64 letters, digits, '.', '_' and '-'";
}

std::string wrong_pattern(std::string_view text) {
  if (text.ends_with('*')) {
    const auto beginning = text.substr(0, text.size() - 1);
    if (beginning.find('*') == std::string_view::npos && (beginning.empty() || beginning.starts_with("urn:")))
      return {};
    return shown(text) + " is not a pattern: write an Entity ID, or a prefix and one '*' at the end";
  }
  const auto id = entity_id::parse(text);
  return id ? std::string{} : id.error().detail;
}

/// As protocol/application_identity.hpp has it.
std::string wrong_purpose(std::string_view text) {
  constexpr std::size_t longest = 16;
  const bool fits = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
  if (!text.empty() && text.size() <= longest && fits && text.front() != '-') return {};
  return shown(text) +
         " is not the name of a purpose: 1 to 16 of a-z, 0-9 and '-', without '-' at the beginning";
}

std::string wrong_uri(std::string_view text) {
  const bool printable = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
  const auto colon = text.find(':');
  if (text.size() > 255 || !printable || colon == std::string_view::npos || colon == 0 ||
      colon + 1 == text.size())
    return shown(text) + " is not a URI";
  return {};
}

std::string wrong_uris(std::string_view text) {
  if (!text.ends_with('*')) return wrong_uri(text);
  const auto beginning = text.substr(0, text.size() - 1);
  if (beginning.find('*') != std::string_view::npos || !wrong_uri(std::string{beginning} + "x").empty())
    return shown(text) + " is not a URI, nor a prefix with one '*' at the end";
  return {};
}

/// The error in `text`; empty if there is none.
std::string wrong_form(form f, std::string_view text) {
  switch (f) {
  case form::any:
  case form::database: return {};
  case form::name:
  case form::group:
  case form::account: return wrong_name(text);
  case form::purpose: return wrong_purpose(text);
  case form::user: {
    const auto id = user_id::parse(text);
    return id ? std::string{} : id.error().detail;
  }
  case form::entity: {
    const auto id = entity_id::parse(text);
    return id ? std::string{} : id.error().detail;
  }
  case form::pattern: return wrong_pattern(text);
  case form::uri: return wrong_uri(text);
  case form::identity: return wrong_identity(text);
  case form::uris: return wrong_uris(text);
  case form::range: {
    const auto range = entity_range::parse(text);
    return range ? std::string{} : range.error().detail;
  }
  case form::https: {
    const auto url = parse_https_url(text);
    return url ? std::string{} : url.error().detail;
  }
  case form::plugin:
    return text.find('/') != std::string_view::npos || text.ends_with(".so") ? std::string{}
                                                                             : wrong_name(text);
  }
  return {};
}

/// Refuses a leading ~: a folder with that name is never intended.
bool has_tilde(reading& r, const std::string& key, const yaml_node& n, std::string_view text) {
  if (!text.starts_with('~')) return false;
  r.found.add(n.at, errc::config_range,
              "'" + key + "': " + shown(text) +
                  " begins with a ~, which only a shell expands; write the folder in full, or ${HOME}/...");
  return true;
}

std::string absolute_path(const reading& r, std::string_view text) {
  return (r.folder / std::filesystem::path(text)).lexically_normal().string();
}

}  // namespace

mark reading::place_of(std::string_view key) const { return place_in(places, key); }

bool take(reading& r, const std::string& key, const yaml_node& n, const rules& is, std::string& out) {
  auto text = scalar(r, key, n, "a text");
  if (!text) return false;
  if (auto wrong = wrong_form(is.text, *text); !wrong.empty()) {
    r.found.add(n.at, errc::config_range, "'" + key + "': " + wrong);
    return false;
  }
  const bool plugin_path =
      is.text == form::plugin && (text->find('/') != std::string::npos || text->ends_with(".so"));
  if (plugin_path && has_tilde(r, key, n, *text)) return false;
  out = plugin_path ? absolute_path(r, *text) : std::move(*text);
  return true;
}

bool take(reading& r, const std::string& key, const yaml_node& n, const rules&, bool& out) {
  const auto text = scalar(r, key, n, "true or false");
  if (!text) return false;
  const bool is_text = n.quoted && n.text.find("${") == std::string::npos;
  if (is_text || (*text != "true" && *text != "false")) {
    r.found.add(n.at, errc::config_type,
                "'" + key + "' must be true or false, not " + (is_text ? "the text " : "") + shown(*text));
    return false;
  }
  out = *text == "true";
  return true;
}

bool take(reading& r, const std::string& key, const yaml_node& n, const rules& is, int& out) {
  std::int64_t value = 0;
  if (!take_number(r, key, n, is, std::numeric_limits<int>::min(), std::numeric_limits<int>::max(), value))
    return false;
  out = static_cast<int>(value);
  return true;
}

bool take(reading& r, const std::string& key, const yaml_node& n, const rules& is, std::uint32_t& out) {
  std::int64_t value = 0;
  if (!take_number(r, key, n, is, 0, std::numeric_limits<std::uint32_t>::max(), value)) return false;
  out = static_cast<std::uint32_t>(value);
  return true;
}

bool take(reading& r, const std::string& key, const yaml_node& n, const rules& is, milliseconds& out) {
  const auto text = scalar(r, key, n, "a duration like 10s");
  if (!text) return false;
  const auto value = parse_duration(*text);
  if (!value) {
    r.found.add(n.at, value.error().code, "'" + key + "': " + value.error().detail);
    return false;
  }
  if (value->count() < is.min || value->count() > is.max)
    return out_of_range(r, key, n, duration_text(milliseconds(is.min)), duration_text(milliseconds(is.max)),
                        shown(*text));
  out = *value;
  return true;
}

bool take(reading& r, const std::string& key, const yaml_node& n, const rules& is, memory_size& out) {
  const auto text = scalar(r, key, n, "a size like 256MiB");
  if (!text) return false;
  const auto value = parse_memory_size(*text);
  if (!value) {
    r.found.add(n.at, value.error().code, "'" + key + "': " + value.error().detail);
    return false;
  }
  const auto low = static_cast<std::uint64_t>(is.min), high = static_cast<std::uint64_t>(is.max);
  if (value->bytes < low || value->bytes > high)
    return out_of_range(r, key, n, memory_text({low}), memory_text({high}), shown(*text));
  out = *value;
  return true;
}

bool take(reading& r, const std::string& key, const yaml_node& n, const rules&, path& out) {
  const auto text = scalar(r, key, n, "a path");
  if (!text) return false;
  if (text->empty()) {
    r.found.add(n.at, errc::config_range, "'" + key + "' is an empty path; remove the key or give a path");
    return false;
  }
  if (has_tilde(r, key, n, *text)) return false;
  out = absolute_path(r, *text);
  return true;
}

bool take(reading& r, const std::string& key, const yaml_node& n, const rules&, address& out) {
  const auto text = scalar(r, key, n, "an address like 127.0.0.1:7443");
  if (!text) return false;
  auto value = parse_address(*text);
  if (!value) {
    r.found.add(n.at, value.error().code, "'" + key + "': " + value.error().detail);
    return false;
  }
  out = std::move(*value);
  return true;
}

bool take_word(reading& r, const std::string& key, const yaml_node& n,
               const std::vector<std::string_view>& words, std::size_t& out) {
  std::string wanted;
  for (const auto w : words) wanted += (wanted.empty() ? "" : ", ") + std::string{w};
  const auto text = scalar(r, key, n, "one of " + wanted);
  if (!text) return false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] != *text) continue;
    out = i;
    return true;
  }
  std::string wrong = "'" + key + "' must be one of " + wanted + ", not " + shown(*text);
  if (const auto near = nearest(*text, words)) wrong += "; did you mean '" + std::string{*near} + "'?";
  r.found.add(n.at, errc::config_range, std::move(wrong));
  return false;
}

bool take_list(reading& r, const std::string& key, const yaml_node& n, const rules& is) {
  if (n.is != yaml_node::kind::list) {
    wrong_type(r, key, n, "a list");
    return false;
  }
  const auto count = static_cast<std::int64_t>(n.items.size());
  if (count >= is.min && count <= is.max) return true;
  r.found.add(n.at, errc::config_range,
              "'" + key + "' must have from " + std::to_string(is.min) + " to " + std::to_string(is.max) +
                  " entries, not " + std::to_string(count));
  return false;
}

bool take_map(reading& r, const std::string& key, const yaml_node& n, const rules& is) {
  if (n.is != yaml_node::kind::map) {
    wrong_type(r, key, n, "a section of 'key: value' lines");
    return false;
  }
  if (static_cast<std::int64_t>(n.items.size()) <= is.max) return true;
  r.found.add(n.at, errc::config_range,
              "'" + key + "' must have at most " + std::to_string(is.max) + " keys, not " +
                  std::to_string(n.items.size()));
  return false;
}

void check_map_key(reading& r, const std::string& map, const yaml_node::entry& k, const rules& is) {
  if (auto wrong = wrong_form(is.text, k.key); !wrong.empty())
    r.found.add(k.at, errc::config_range, "'" + map + "': " + wrong);
}

bool is_word(reading& r, const yaml_node& n, std::string_view word) {
  if (n.is != yaml_node::kind::scalar) return false;
  const auto text = expand(n.text, r.env);
  return text && *text == word;
}

/// Keys of earlier versions, with their successors.
constexpr std::pair<std::string_view, std::string_view> renamed[]{{"control_socket", "api.socket"}};

const yaml_node* section_visitor::find(std::string_view name) {
  for (std::size_t i = 0; i < map_.keys.size(); ++i) {
    if (map_.keys[i].key != name) continue;
    r_.places.emplace(prefix_.empty() ? std::string{name} : prefix_ + "." + std::string{name},
                      map_.items[i].at);
    return &map_.items[i];
  }
  return nullptr;
}

void section_visitor::missing(const std::string& key, std::string_view sentence) {
  r_.found.add(map_.at, errc::config_missing, "'" + key + "' is missing: " + std::string{sentence});
}

void section_visitor::finish(std::string_view also_known) {
  if (!also_known.empty()) known_.push_back(also_known);
  for (const auto& k : map_.keys) {
    if (std::find(known_.begin(), known_.end(), k.key) != known_.end()) continue;
    std::string text = shown(k.key) + " is not a key";
    text += prefix_.empty() ? " here" : " of '" + prefix_ + "'";
    const auto now = std::find_if(std::begin(renamed), std::end(renamed),
                                  [&k](const auto& p) { return p.first == k.key; });
    if (now != std::end(renamed))
      text += "; it is now '" + std::string{now->second} + "'";
    else if (const auto near = nearest(k.key, known_))
      text += "; did you mean '" + std::string{*near} + "'?";
    r_.found.add(k.at, errc::config_unknown_key, std::move(text));
  }
}

}  // namespace cpns::config
