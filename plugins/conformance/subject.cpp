#include "plugins/conformance/subject.hpp"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

#include "base/sockets.hpp"

namespace cpns::conformance {
namespace {

std::string fresh_name() {
  static std::atomic<int> last{0};
  return "k" + std::to_string(::getpid()) + "-" + std::to_string(++last);
}

/// Replaces placeholders; each kind gets one value, chosen at its first use.
class drawer {
 public:
  explicit drawer(const std::string& base) : base_(base) {}
  std::string fill(std::string text) {
    replace(text, "{run}", run_, [] { return fresh_name(); });
    replace(text, "{udp}", udp_, [] { return std::to_string(free_port(SOCK_DGRAM)); });
    replace(text, "{tcp}", tcp_, [] { return std::to_string(free_port(SOCK_STREAM)); });
    replace(text, "{folder}", folder_, [this] {
      std::string name = base_ + "/XXXXXX";
      return ::mkdtemp(name.data()) != nullptr ? name : "cannot create a folder in " + base_;
    });
    return text;
  }

 private:
  template <class Draw>
  static void replace(std::string& text, std::string_view what, std::string& drawn, Draw draw) {
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + drawn.size())) {
      if (drawn.empty()) drawn = draw();
      text.replace(at, what.size(), drawn);
    }
  }
  const std::string& base_;
  std::string run_, udp_, tcp_, folder_;
};

}  // namespace

meeting draw_meeting(const subject& s, const params& over) {
  drawer d{s.folder};
  meeting m;
  for (const auto& [k, v] : laid_over(s.central, over)) m.central[k] = d.fill(v);
  for (const auto& [k, v] : laid_over(s.peripheral, over)) m.peripheral[k] = d.fill(v);
  return m;
}

params laid_over(params base, const params& over) {
  for (const auto& [k, v] : over) base[k] = v;
  return base;
}

result<std::pair<std::string, std::string>> split_parameter(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    return fail(errc::config_usage, "'" + text + "' is not a parameter; write name=value");
  return std::pair{text.substr(0, equals), text.substr(equals + 1)};
}

std::vector<std::string> to_words(const subject& s) {
  std::vector<std::string> out{s.file, std::to_string(s.seed), s.folder};
  for (const auto& [k, v] : s.central) out.push_back("c:" + k + "=" + v);
  for (const auto& [k, v] : s.peripheral) out.push_back("p:" + k + "=" + v);
  for (const auto& [k, v] : s.few_links) out.push_back("f:" + k + "=" + v);
  for (const auto& r : s.refused) out.push_back("r:" + r);
  return out;
}

subject from_words(const std::vector<std::string>& words) {
  subject s;
  if (words.size() < 3) return s;
  s.file = words[0];
  s.seed = std::strtoull(words[1].c_str(), nullptr, 10);
  s.folder = words[2];
  for (std::size_t i = 3; i < words.size(); ++i) {
    if (words[i].size() < 2) continue;
    const auto text = words[i].substr(2);
    if (words[i][0] == 'r') {
      s.refused.push_back(text);
      continue;
    }
    const auto parts = split_parameter(text);
    if (!parts) continue;
    auto& into = words[i][0] == 'c' ? s.central : words[i][0] == 'p' ? s.peripheral : s.few_links;
    into.insert(*parts);
  }
  return s;
}

}  // namespace cpns::conformance
