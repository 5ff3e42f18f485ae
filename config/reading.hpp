#pragma once
// Internals of the loader: the visitor that fills the structs of schema.hpp from a YAML tree (reading.cpp), and
// the checks between settings (checks.cpp).

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/errc.hpp"
#include "config/describe.hpp"
#include "config/diagnostics.hpp"
#include "config/values.hpp"
#include "config/yaml_tree.hpp"

namespace cpns::config {

/// State shared by all sections of one file.
struct reading {
  diagnostics found;
  environment env;
  path folder;        ///< relative paths start here
  key_places places;  ///< of the keys that are in the file

  /// The position of a key, or of the nearest section around it.
  [[nodiscard]] mark place_of(std::string_view key) const;
};

template <class T>
inline constexpr bool is_section = false;
template <class T>
requires std::is_class_v<T> && requires(int& v, T& t) { describe(v, t); }
inline constexpr bool is_section<T> = true;

/// Readers of single values. If the node does not fit, they add a diagnostic and leave `out` unchanged.
bool take(reading& r, const std::string& key, const yaml_node& n, const rules& is, std::string& out);
bool take(reading& r, const std::string& key, const yaml_node& n, const rules& is, bool& out);
bool take(reading& r, const std::string& key, const yaml_node& n, const rules& is, int& out);
bool take(reading& r, const std::string& key, const yaml_node& n, const rules& is, std::uint32_t& out);
bool take(reading& r, const std::string& key, const yaml_node& n, const rules& is, milliseconds& out);
bool take(reading& r, const std::string& key, const yaml_node& n, const rules& is, memory_size& out);
bool take(reading& r, const std::string& key, const yaml_node& n, const rules& is, path& out);
bool take(reading& r, const std::string& key, const yaml_node& n, const rules& is, address& out);
/// Sets `out` to the index of the node's word.
bool take_word(reading& r, const std::string& key, const yaml_node& n,
               const std::vector<std::string_view>& words, std::size_t& out);
/// True if the node is a list or a map within the bounds.
bool take_list(reading& r, const std::string& key, const yaml_node& n, const rules& is);
bool take_map(reading& r, const std::string& key, const yaml_node& n, const rules& is);
/// Checks a key of a map.
void check_map_key(reading& r, const std::string& map, const yaml_node::entry& k, const rules& is);
/// True if the node is the word for "no value".
bool is_word(reading& r, const yaml_node& n, std::string_view word);

template <class E>
requires std::is_enum_v<E>
bool take(reading& r, const std::string& key, const yaml_node& n, const rules&, E& out) {
  std::vector<std::string_view> words;
  for (const auto& [value, word] : enum_words<E>::all) words.push_back(word);
  std::size_t i = 0;
  if (!take_word(r, key, n, words, i)) return false;
  out = enum_words<E>::all[i].first;
  return true;
}

template <class T>
bool take_section(reading& r, const std::string& key, const yaml_node& n, T& out,
                  std::string_view also_known = {});

template <class T>
bool take(reading& r, const std::string& key, const yaml_node& n, const rules& is, std::optional<T>& out) {
  if (!is.none.empty() && is_word(r, n, is.none)) {
    out.reset();
    return true;
  }
  // After an error the setting counts as given, so that no check reports it as missing, too.
  bool good = false;
  T value{};
  if constexpr (is_section<T>)
    good = take_section(r, key, n, value);
  else
    good = take(r, key, n, is, value);
  out = std::move(value);
  return good;
}

template <class T>
bool take(reading& r, const std::string& key, const yaml_node& n, const rules& is, std::vector<T>& out) {
  if (!take_list(r, key, n, is)) return false;
  out.clear();
  // The bounds apply to the list. Entries are checked by their form, numbers in checks.cpp.
  rules of_entry{.text = is.text};
  for (std::size_t i = 0; i < n.items.size(); ++i) {
    const auto entry_key = key + "[" + std::to_string(i) + "]";
    r.places.emplace(entry_key, n.items[i].at);
    T value{};
    if constexpr (is_section<T>)
      take_section(r, entry_key, n.items[i], value);
    else
      take(r, entry_key, n.items[i], of_entry, value);
    out.push_back(std::move(value));
  }
  return true;
}

template <class T, class Less>
bool take(reading& r, const std::string& key, const yaml_node& n, const rules& is,
          std::map<std::string, T, Less>& out) {
  if (!take_map(r, key, n, is)) return false;
  out.clear();
  for (std::size_t i = 0; i < n.items.size(); ++i) {
    const auto entry_key = key + "." + n.keys[i].key;
    r.places.emplace(entry_key, n.items[i].at);
    check_map_key(r, key, n.keys[i], is);
    T value{};
    if constexpr (is_section<T>)
      take_section(r, entry_key, n.items[i], value);
    else
      take(r, entry_key, n.items[i], rules{}, value);
    out.insert_or_assign(n.keys[i].key, std::move(value));
  }
  return true;
}

class section_visitor {
 public:
  section_visitor(reading& r, const std::string& prefix, const yaml_node& map)
      : r_(r), prefix_(prefix), map_(map) {}

  template <class T>
  void operator()(std::string_view name, T& member, std::string_view sentence, const rules& is) {
    known_.push_back(name);
    const auto key = prefix_.empty() ? std::string{name} : prefix_ + "." + std::string{name};
    const auto* entry = find(name);
    if (entry == nullptr) {
      if (is.required) missing(key, sentence);
      return;
    }
    if constexpr (is_section<T>)
      take_section(r_, key, *entry, member);
    else
      take(r_, key, *entry, is, member);
  }
  /// Adds a diagnostic for each key that no call named.
  void finish(std::string_view also_known);

 private:
  const yaml_node* find(std::string_view name);
  void missing(const std::string& key, std::string_view sentence);

  reading& r_;
  const std::string& prefix_;
  const yaml_node& map_;
  std::vector<std::string_view> known_;
};

template <class T>
bool take_section(reading& r, const std::string& key, const yaml_node& n, T& out,
                  std::string_view also_known) {
  if (!take_map(r, key, n, rules{})) return false;
  section_visitor v(r, key, n);
  describe(v, out);
  v.finish(also_known);
  return true;
}

/// Receives the key of a setting, such as "keys.lifetime", and the error in it.
using report_fn = std::function<void(std::string_view key, errc code, std::string text)>;

/// Rules between settings; the rules for single values are applied while they are read.
void check(const server_config& c, const report_fn& report);
void check(const gateway_config& c, const report_fn& report);
void check(const pne_config& c, const report_fn& report);
/// A part of check(): the sources of Temporary Keys.
void check_key_services(const server_config& c, const report_fn& report);

}  // namespace cpns::config
