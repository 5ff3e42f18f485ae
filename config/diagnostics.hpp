#pragma once
// The errors that the loader finds in a configuration file, each with its line and column.

#include <algorithm>
#include <compare>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "base/result.hpp"

namespace cpns::config {

/// A position in a file, counted from 1; line 0 means the whole file.
struct mark {
  std::size_t line = 0;
  std::size_t column = 0;
  friend auto operator<=>(const mark&, const mark&) = default;
};

/// Positions of the keys of a file by their full names, such as "keys.lifetime"; "" is the file itself.
using key_places = std::map<std::string, mark, std::less<>>;
/// The position of a key, or of the nearest section around it.
inline mark place_in(const key_places& places, std::string_view key) {
  for (;;) {
    if (const auto it = places.find(key); it != places.end()) return it->second;
    const auto cut = key.find_last_of(".[");
    if (cut == std::string_view::npos) {
      const auto it = places.find("");
      return it != places.end() ? it->second : mark{1, 1};
    }
    key = key.substr(0, cut);
  }
}

struct diagnostic {
  mark at;
  errc code = errc::config_syntax;
  std::string text;
};

struct diagnostics {
  std::filesystem::path file;
  std::vector<diagnostic> all;

  void add(mark at, errc code, std::string text) { all.push_back({at, code, std::move(text)}); }
  [[nodiscard]] bool none() const { return all.empty(); }
  void sort() {
    std::stable_sort(all.begin(), all.end(),
                     [](const diagnostic& a, const diagnostic& b) { return a.at < b.at; });
  }
  static constexpr std::size_t lines_max = 100;
  /// "FILE:LINE:COLUMN: text", one line per diagnostic; beyond lines_max the last line counts the rest.
  [[nodiscard]] std::vector<std::string> lines() const {
    std::vector<std::string> out;
    for (const auto& d : all) {
      if (out.size() == lines_max) {
        out.push_back(file.string() + ": and " + std::to_string(all.size() - lines_max) + " more");
        break;
      }
      std::string place = file.string();
      if (d.at.line > 0) place += ":" + std::to_string(d.at.line) + ":" + std::to_string(d.at.column);
      out.push_back(place + ": " + d.text);
    }
    return out;
  }
  /// The code of the first diagnostic, and all lines as the detail.
  [[nodiscard]] error as_error() const {
    std::string text;
    for (const auto& line : lines()) text += (text.empty() ? "" : "\n") + line;
    return {all.empty() ? errc::internal : all.front().code, text};
  }
};

/// A loaded configuration, or the diagnostics of its file.
template <class T>
using loaded = tl::expected<T, diagnostics>;

}  // namespace cpns::config
