#include "cli/parameters.hpp"

namespace cpns::cli {

void add_parameters(CLI::App& command, const std::string& option, std::map<std::string, std::string>& into,
                    const std::string& help) {
  command
      .add_option_function<std::vector<std::string>>(
          option,
          [&into](const std::vector<std::string>& all) {
            for (const auto& text : all) {
              const auto equals = text.find('=');
              into[text.substr(0, equals)] = text.substr(equals + 1);
            }
          },
          help)
      ->type_name("NAME=VALUE")
      ->expected(1)
      ->take_all()
      ->check([](const std::string& text) {
        const auto equals = text.find('=');
        return equals == std::string::npos || equals == 0 ? "'" + text + "' is no name=value" : std::string{};
      });
}

}  // namespace cpns::cli
