#pragma once
// What is wrong with a configuration file: all of it, each with its place.

#include <algorithm>
#include <compare>
#include <filesystem>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "base/result.hpp"

namespace cpns::config {

/// A place in a file, counted from 1; line 0 stands for the file as a whole.
struct mark {
  std::size_t line = 0;
  std::size_t column = 0;
  friend auto operator<=>(const mark&, const mark&) = default;
};

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
  /// "FILE:LINE:COLUMN: what is wrong", one for each problem; over lines_max the last line counts the rest.
  [[nodiscard]] std::vector<std::string> lines() const {
    std::vector<std::string> out;
    for (const auto& p : all) {
      if (out.size() == lines_max) {
        out.push_back(file.string() + ": and " + std::to_string(all.size() - lines_max) + " more");
        break;
      }
      std::string place = file.string();
      if (p.at.line > 0) place += ":" + std::to_string(p.at.line) + ":" + std::to_string(p.at.column);
      out.push_back(place + ": " + p.text);
    }
    return out;
  }
  /// The code of the first problem, and all lines.
  [[nodiscard]] error as_error() const {
    std::string text;
    for (const auto& line : lines()) text += (text.empty() ? "" : "\n") + line;
    return {all.empty() ? errc::internal : all.front().code, text};
  }
};

/// A loaded configuration, or everything that is wrong with its file.
template <class T>
using loaded = tl::expected<T, diagnostics>;

}  // namespace cpns::config
