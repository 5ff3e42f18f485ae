#include "cli/radio_text.hpp"

#include <boost/json.hpp>
#include <cstddef>
#include <cstdio>
#include <string>

#include "base/text.hpp"
#include "cli/role_client.hpp"
#include "cli/terminal.hpp"

namespace cpns::cli {
namespace {

void print_radio(const boost::json::object& r) {
  const auto reason = r.contains("reason") ? ": " + text_of(r, "reason") : std::string{};
  std::printf("%s  %s %s  %s%s\n", paint(colour::bold, text_of(r, "name")).c_str(),
              text_of(r, "plugin").c_str(), text_of(r, "version").c_str(), text_of(r, "state").c_str(),
              reason.c_str());
  for (const auto& [key, value] : r.at("counters").as_object())
    std::printf("  %-32s %s\n", std::string{key}.c_str(), boost::json::serialize(value).c_str());
  const auto& links = r.at("links").as_array();
  if (links.empty()) return;
  std::printf(
      "  %s\n",
      paint(colour::bold,
            "ADDRESS                          ENTITY                                   dBm   SECURITY")
          .c_str());
  for (const auto& one : links) {
    const auto& l = one.as_object();
    std::printf("  %-32s %-40s %-5s %s\n", text_of(l, "address").c_str(), text_of(l, "entity").c_str(),
                text_of(l, "rssi_dbm").c_str(), text_of(l, "security").c_str());
  }
  if (const auto all = r.at("link_count").to_number<std::size_t>(); all > links.size())
    std::printf("  and %s more\n", plural(all - links.size(), "link").c_str());
}

}  // namespace

void print_radios(const boost::json::value& answer) {
  for (const auto& one : answer.as_object().at("radios").as_array()) print_radio(one.as_object());
}

}  // namespace cpns::cli
