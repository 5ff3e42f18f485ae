// Writes the descriptions of config/describe.hpp as JSON Schema for editors, and as the page docs/config.md.

#include <limits>
#include <map>
#include <optional>
#include <type_traits>
#include <vector>

#include "config/describe.hpp"
#include "config/values.hpp"

namespace cpns::config {
namespace {

enum class shape : std::uint8_t {
  text,
  boolean,
  number,
  duration,
  memory,
  path,
  address,
  word,
  list,
  map,
  section
};

/// One setting with its description, as data.
struct setting {
  std::string key, sentence;
  shape is = shape::text;
  rules bounds;
  std::string preset;  ///< the default in YAML; empty: none
  std::vector<std::string_view> words;
  std::vector<setting> inner;  ///< a section's settings, or the entry type of a list or map
};

std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;
template <class T>
inline constexpr bool is_map = false;
template <class T, class L>
inline constexpr bool is_map<std::map<std::string, T, L>> = true;
template <class T>
concept section = std::is_class_v<T> && requires(int& v, T& t) {
  describe(v, t);
};

class collector {
 public:
  template <class T>
  void operator()(std::string_view key, T& member, std::string_view sentence, const rules& is) {
    auto s = of(member, is);
    s.key = key;
    s.sentence = sentence;
    all.push_back(std::move(s));
  }
  std::vector<setting> all;

 private:
  template <class T>
  static setting of(T& v, const rules& is) {
    setting s;
    s.bounds = is;
    if constexpr (section<T>) {
      s.is = shape::section;
      collector c;
      describe(c, v);
      s.inner = std::move(c.all);
    } else if constexpr (is_optional<T>) {
      typename T::value_type value{};
      s = of(value, is);
      s.preset = v ? s.preset : std::string{is.none};
    } else if constexpr (is_vector<T>) {
      s.is = shape::list;
      typename T::value_type value{};
      s.inner.push_back(of(value, rules{.text = is.text}));
      for (const auto& e : v)
        if constexpr (std::is_arithmetic_v<typename T::value_type>)
          s.preset += (s.preset.empty() ? "[" : ", ") + std::to_string(e);
        else if constexpr (std::is_same_v<typename T::value_type, std::string>)
          s.preset += (s.preset.empty() ? "[" : ", ") + json_text(e);
      if (!s.preset.empty()) s.preset += "]";
    } else if constexpr (is_map<T>) {
      s.is = shape::map;
      typename T::mapped_type value{};
      s.inner.push_back(of(value, rules{}));
    } else {
      single(s, v);
    }
    return s;
  }
  static void single(setting& s, const std::string& v) { s.is = shape::text, s.preset = v; }
  static void single(setting& s, bool v) { s.is = shape::boolean, s.preset = v ? "true" : "false"; }
  static void single(setting& s, int v) { s.is = shape::number, s.preset = std::to_string(v); }
  static void single(setting& s, std::uint32_t v) { s.is = shape::number, s.preset = std::to_string(v); }
  static void single(setting& s, milliseconds v) { s.is = shape::duration, s.preset = duration_text(v); }
  static void single(setting& s, memory_size v) { s.is = shape::memory, s.preset = memory_text(v); }
  static void single(setting& s, const path&) { s.is = shape::path; }
  static void single(setting& s, const address& v) {
    s.is = shape::address;
    if (!v.host.empty()) s.preset = v.text();
  }
  template <class E>
  requires std::is_enum_v<E>
  static void single(setting& s, E v) {
    s.is = shape::word;
    s.preset = word_of(v);
    for (const auto& [value, word] : enum_words<E>::all) s.words.push_back(word);
  }
};

std::vector<setting> settings_of(role_kind role) {
  collector c;
  server_config server;
  gateway_config gateway;
  pne_config pne;
  switch (role) {
  case role_kind::server: describe(c, server); break;
  case role_kind::gateway: describe(c, gateway); break;
  case role_kind::pne: describe(c, pne); break;
  }
  return std::move(c.all);
}

bool has_max(const rules& r) { return r.max != std::numeric_limits<std::int64_t>::max(); }

// JSON Schema

class schema_writer {
 public:
  std::string out;

  void object_of(const std::vector<setting>& settings, std::size_t depth, std::optional<role_kind> role) {
    line(depth, "\"type\": \"object\",");
    line(depth, "\"additionalProperties\": false,");
    std::string required = role ? "\"role\"" : "";
    for (const auto& s : settings)
      if (s.bounds.required) required += (required.empty() ? "" : ", ") + json_text(s.key);
    if (!required.empty()) line(depth, "\"required\": [" + required + "],");
    line(depth, "\"properties\": {");
    if (role) line(depth + 1, "\"role\": {\"const\": " + json_text(word_of(*role)) + "},");
    for (std::size_t i = 0; i < settings.size(); ++i) {
      line(depth + 1, json_text(settings[i].key) + ": {");
      line(depth + 2, "\"description\": " + json_text(settings[i].sentence) + ",");
      value(settings[i], depth + 2);
      line(depth + 1, i + 1 < settings.size() ? "}," : "}");
    }
    line(depth, "}");
  }

  void line(std::size_t depth, const std::string& text) { out += std::string(2 * depth, ' ') + text + "\n"; }

 private:
  /// To an editor a value with an expansion is text, whatever its type; so each single value allows one.
  static constexpr std::string_view expansion = R"({"type": "string", "pattern": "\\$\\{"})";

  void any_of(const std::string& plain, const rules& r, std::size_t depth, const std::string& preset) {
    if (!preset.empty()) line(depth, "\"default\": " + preset + ",");
    std::string all = plain;
    if (!r.none.empty()) all += ", {\"const\": " + json_text(r.none) + "}";
    line(depth, "\"anyOf\": [" + all + ", " + std::string{expansion} + "]");
  }

  void value(const setting& s, std::size_t depth) {
    const auto& r = s.bounds;
    const auto preset_text = s.preset.empty() ? std::string{} : json_text(s.preset);
    const bool preset_is_word = !r.none.empty() && s.preset == r.none;
    switch (s.is) {
    case shape::text:
      if (!preset_text.empty()) line(depth, "\"default\": " + preset_text + ",");
      line(depth, R"("type": ["string", "number", "boolean"])");
      break;
    case shape::path: line(depth, R"("type": "string")"); break;
    case shape::address:
      any_of(R"({"type": "string", "pattern": ":[0-9]{1,5}$"})", r, depth, preset_text);
      break;
    case shape::boolean: any_of(R"({"type": "boolean"})", r, depth, s.preset); break;
    case shape::duration:
      any_of(R"({"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$"})", r, depth, preset_text);
      break;
    case shape::memory:
      any_of(R"({"type": "string", "pattern": "^[0-9]+(MiB|GiB)$"})", r, depth, preset_text);
      break;
    case shape::number:
      any_of("{\"type\": \"integer\", \"minimum\": " + std::to_string(r.min) +
                 (has_max(r) ? ", \"maximum\": " + std::to_string(r.max) : "") + "}",
             r, depth, preset_is_word ? preset_text : s.preset);
      break;
    case shape::word: {
      std::string words;
      for (const auto w : s.words) words += (words.empty() ? "" : ", ") + json_text(w);
      any_of("{\"enum\": [" + words + "]}", r, depth, preset_text);
      break;
    }
    case shape::list:
      line(depth, "\"type\": \"array\",");
      if (!s.preset.empty()) line(depth, "\"default\": " + s.preset + ",");
      if (r.min > 0) line(depth, "\"minItems\": " + std::to_string(r.min) + ",");
      if (has_max(r)) line(depth, "\"maxItems\": " + std::to_string(r.max) + ",");
      entries("items", s.inner.front(), depth);
      break;
    case shape::map:
      line(depth, "\"type\": \"object\",");
      if (has_max(r)) line(depth, "\"maxProperties\": " + std::to_string(r.max) + ",");
      entries("additionalProperties", s.inner.front(), depth);
      break;
    case shape::section: object_of(s.inner, depth, std::nullopt); break;
    }
  }

  void entries(std::string_view word, const setting& entry, std::size_t depth) {
    line(depth, json_text(word) + ": {");
    auto plain = entry;
    plain.preset.clear();  // the list has a default, its entries have none
    value(plain, depth + 1);
    line(depth, "}");
  }
};

// The reference page

std::string form_text(form f) {
  switch (f) {
  case form::user: return "CPNS User ID";
  case form::entity: return "Entity ID";
  case form::pattern: return "Entity ID, or a prefix and `*`";
  case form::name:
  case form::account:
  case form::purpose:
  case form::group: return "name";
  case form::uri: return "URI";
  case form::identity: return "identity";
  case form::uris: return "URI, or a prefix and `*`";
  case form::range: return "`PREFIX*` or `FROM..TO`";
  case form::https: return "https URL";
  case form::any:
  case form::database:
  case form::plugin: break;
  }
  return "text";
}

std::string type_text(const setting& s) {
  const auto& r = s.bounds;
  const auto range = [&](const std::string& low, const std::string& high) {
    return ", " + low + " to " + high;
  };
  std::string out;
  switch (s.is) {
  case shape::text: out = form_text(r.text); break;
  case shape::boolean: out = "true or false"; break;
  case shape::path: out = "path"; break;
  case shape::address: out = "host:port"; break;
  case shape::number:
    out = "number" + (has_max(r) ? range(std::to_string(r.min), std::to_string(r.max)) : "");
    break;
  case shape::duration:
    out = "duration";
    if (has_max(r)) out += range(duration_text(milliseconds(r.min)), duration_text(milliseconds(r.max)));
    break;
  case shape::memory:
    out = "size" + range(memory_text({static_cast<std::uint64_t>(r.min)}),
                         memory_text({static_cast<std::uint64_t>(r.max)}));
    break;
  case shape::word:
    for (const auto w : s.words) out += (out.empty() ? "`" : ", `") + std::string{w} + "`";
    break;
  case shape::list:
    out = s.inner.front().is == shape::section ? "list of sections" : "list of " + type_text(s.inner.front());
    if (has_max(r)) out += range(std::to_string(r.min), std::to_string(r.max)) + " entries";
    break;
  case shape::map:
    out = "map of " + (r.text == form::any ? std::string{} : form_text(r.text) + ", to ") +
          (s.inner.front().is == shape::section ? "a section" : type_text(s.inner.front())) +
          (has_max(r) ? ", at most " + std::to_string(r.max) : "");
    break;
  case shape::section: out = "section"; break;
  }
  if (!r.none.empty()) out += ", or `" + std::string{r.none} + "`";
  return out;
}

void rows(std::string& out, const std::vector<setting>& settings, const std::string& prefix) {
  for (const auto& s : settings) {
    const auto key = prefix + s.key;
    std::string preset = s.bounds.required ? "required" : s.preset.empty() ? "" : "`" + s.preset + "`";
    out += "| `" + key + "` | " + type_text(s) + " | " + preset + " | " + s.sentence +
           (s.bounds.reload ? " ↻" : "") + " |\n";
    if (s.is == shape::section) rows(out, s.inner, key + ".");
    if (s.is == shape::list && s.inner.front().is == shape::section)
      rows(out, s.inner.front().inner, key + "[].");
    if (s.is == shape::map && s.inner.front().is == shape::section)
      rows(out, s.inner.front().inner, key + ".NAME.");
  }
}

}  // namespace

std::string json_schema(role_kind role) {
  schema_writer w;
  w.line(0, "{");
  w.line(1, R"("$schema": "https://json-schema.org/draft/2020-12/schema",)");
  w.line(1, "\"title\": \"cpns " + std::string{word_of(role)} + "\",");
  w.object_of(settings_of(role), 1, role);
  w.line(0, "}");
  return std::move(w.out);
}

std::string reference_markdown() {
  std::string out =
      "# Configuration reference\n\n"
      "Generated by `cpns config schema --markdown` from `config/describe.hpp` and `config/schema.hpp`; a "
      "test fails if this page is out of date.\n\n"
      "A configuration is one YAML document that begins with `role: server`, `role: gateway` or `role: pne`. "
      "`cpns config check FILE` reports every error with its line and column. Complete examples: "
      "`config/examples/`; `cpns init DIR` writes a set that runs.\n\n"
      "- **Durations** are a whole number and `ms`, `s`, `m`, `h` or `d`: `500ms`, `24h`.\n"
      "- **Sizes** of memory are a whole number and `MiB` or `GiB`: `256MiB`.\n"
      "- **Relative paths** start at the folder of the file.\n"
      "- **Secrets** are never in the file: settings name the files that hold them.\n"
      "- **Environment**: `${NAME}` and `${NAME:-default}` are replaced in values; `$${` becomes `${`. A "
      "variable that is not set and has no default is an error.\n"
      "- **Strict**: unknown keys, wrong types, values out of range and duplicate keys are errors. Anchors, "
      "aliases, tags and second documents are not accepted.\n"
      "- ↻ marks settings that a running role applies at SIGHUP; the role logs changes of other settings and "
      "ignores them.\n";
  for (const auto role : {role_kind::server, role_kind::gateway, role_kind::pne}) {
    out += "\n## role: " + std::string{word_of(role)} +
           "\n\n| key | type | default | meaning |\n|---|---|---|---|\n";
    rows(out, settings_of(role), "");
  }
  return out;
}

}  // namespace cpns::config
