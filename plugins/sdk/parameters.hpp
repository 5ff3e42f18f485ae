#pragma once
// Parameters of a radio in C++: declared once in a constexpr array, and read by name.

#include <array>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "parameters.h"

namespace cpns::sdk {

/// A parameter has an unusable value, for a reason that its declaration cannot express: open returns
/// CPNS_BAD_PARAMETER.
struct bad_parameter : std::runtime_error {
  /// `why` states the requirement ("it must be ...").
  bad_parameter(std::string name, const std::string& why)
      : std::runtime_error{"parameter " + name + ": " + why}, parameter(std::move(name)), must(why) {}
  std::string parameter, must;
};

/// Declarations. `sentence` is for users and names the unit; a parameter without a preset is required. `flags` are
/// CPNS_PARAMETER_OF_ and CPNS_PARAMETER_IS_.
constexpr cpns_parameter_spec text(const char* name, const char* sentence, const char* preset,
                                   std::uint64_t min_bytes, std::uint64_t max_bytes,
                                   std::uint32_t flags = CPNS_PARAMETER_OF_BOTH) {
  return {name, sentence, CPNS_PARAMETER_TEXT, flags, preset, min_bytes, max_bytes, nullptr};
}
constexpr cpns_parameter_spec number(const char* name, const char* sentence, const char* preset,
                                     std::uint64_t min, std::uint64_t max,
                                     std::uint32_t flags = CPNS_PARAMETER_OF_BOTH) {
  return {name, sentence, CPNS_PARAMETER_NUMBER, flags, preset, min, max, nullptr};
}
constexpr cpns_parameter_spec boolean(const char* name, const char* sentence, const char* preset,
                                      std::uint32_t flags = CPNS_PARAMETER_OF_BOTH) {
  return {name, sentence, CPNS_PARAMETER_BOOLEAN, flags, preset, 0, 0, nullptr};
}
/// `choices`: words separated by one space.
constexpr cpns_parameter_spec choice(const char* name, const char* sentence, const char* preset,
                                     const char* choices, std::uint32_t flags = CPNS_PARAMETER_OF_BOTH) {
  return {name, sentence, CPNS_PARAMETER_CHOICE, flags, preset, 0, 0, choices};
}

/// The checked parameters of open, with presets for missing ones. Valid during open.
class parameters {
 public:
  parameters(const cpns_parameter_list& known, const cpns_open_args& args) : known_(known), args_(args) {}

  [[nodiscard]] std::string text(const char* name) const {
    return cpns_parameter_text(&known_, &args_, name);
  }
  [[nodiscard]] std::uint64_t number(const char* name) const {
    return cpns_parameter_number(&known_, &args_, name);
  }
  [[nodiscard]] bool boolean(const char* name) const { return cpns_parameter_boolean(&known_, &args_, name); }
  /// The words of a comma-separated text, without the spaces around them and without empty words.
  [[nodiscard]] std::vector<std::string> list(const char* name) const {
    std::vector<std::string> out;
    const auto all = text(name);
    for (std::string_view rest{all}; !rest.empty();) {
      auto word = rest.substr(0, rest.find(','));
      rest.remove_prefix(word.size() < rest.size() ? word.size() + 1 : word.size());
      while (word.starts_with(' ')) word.remove_prefix(1);
      while (word.ends_with(' ')) word.remove_suffix(1);
      if (!word.empty()) out.emplace_back(word);
    }
    return out;
  }

 private:
  const cpns_parameter_list& known_;
  const cpns_open_args& args_;
};

}  // namespace cpns::sdk
