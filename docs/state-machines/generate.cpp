// Draws the pages of this folder from the tables that the machines run on. usage: cpns_state_pages FOLDER
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "protocol/pn_gw/pn_gw_table.hpp"
#include "protocol/pne/pne_table.hpp"
#include "protocol/server/assignment_table.hpp"

namespace {

using cpns::fsm::verdict;

struct line {
  std::string from, event, action, to, step;
  verdict what;
};

template <class Table>
std::vector<line> lines_of(const Table& table) {
  std::vector<line> out;
  for (const auto& r : table)
    out.push_back({std::string{name_of(r.from)}, std::string{name_of(r.event)},
                   std::string{name_of(r.action)}, std::string{name_of(r.to)}, std::string{r.step}, r.what});
  return out;
}

/// Arrows between two states share one line; what keeps the state is in the tables below, or the picture
/// would be unreadable.
void draw(std::ostream& out, const std::vector<line>& lines) {
  std::vector<std::pair<std::string, std::string>> order;
  std::map<std::pair<std::string, std::string>, std::string> arrows;
  for (const auto& l : lines) {
    if (l.what != verdict::accept || l.from == l.to) continue;
    auto& events = arrows[{l.from, l.to}];
    if (events.empty()) order.emplace_back(l.from, l.to);
    events += (events.empty() ? "" : ", ") + l.event;
  }
  out << "```mermaid\nstateDiagram-v2\n  [*] --> " << lines.front().from << "\n";
  for (const auto& o : order) out << "  " << o.first << " --> " << o.second << " : " << arrows[o] << "\n";
  out << "```\n";
}

void tabulate(std::ostream& out, const std::vector<line>& lines) {
  std::string state, ignored, rejected;
  const auto finish = [&] {
    if (!ignored.empty()) out << "\nIgnored: " << ignored << ".\n";
    if (!rejected.empty()) out << "\nRejected: " << rejected << ".\n";
    ignored.clear();
    rejected.clear();
  };
  const auto add = [](std::string& list, const std::string& event) {
    list += (list.empty() ? "" : ", ") + event;
  };
  for (const auto& l : lines) {
    if (l.from != state) {
      finish();
      state = l.from;
      out << "\n## " << state << "\n\n| event | action | to | step |\n|---|---|---|---|\n";
    }
    if (l.what == verdict::accept)
      out << "| " << l.event << " | " << l.action << " | " << l.to << " | " << l.step << " |\n";
    else
      add(l.what == verdict::ignore ? ignored : rejected, l.event);
  }
  finish();
}

bool write(const std::filesystem::path& file, const std::string& title, const std::string& source,
           const std::vector<line>& lines) {
  std::ofstream out{file};
  out << "# " << title << "\n\nGenerated from `" << source
      << "` by `cpns_state_pages`; do not edit. The meaning of each name stands in that file.\n\n";
  draw(out, lines);
  tabulate(out, lines);
  out.flush();
  if (!out) std::cerr << "cpns_state_pages: cannot write " << file << "\n";
  return static_cast<bool>(out);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace cpns::protocol;
  if (argc != 2) {
    std::cerr << "usage: cpns_state_pages FOLDER\n";
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  const bool ok = write(folder / "pne.md", "PNE", "protocol/pne/pne_table.hpp", lines_of(pne_table)) &&
                  write(folder / "pn_gw.md", "PN GW, one device", "protocol/pn_gw/pn_gw_table.hpp",
                        lines_of(pn_gw_table)) &&
                  write(folder / "server.md", "CPNS Server, one entity",
                        "protocol/server/assignment_table.hpp", lines_of(assignment_table));
  return ok ? 0 : 1;
}
