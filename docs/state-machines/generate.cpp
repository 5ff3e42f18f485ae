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

struct page_row {
  std::string from, event, action, to, note;
  verdict what;
};

template <class Table>
std::vector<page_row> lines_of(const Table& table) {
  std::vector<page_row> out;
  for (const auto& r : table)
    out.push_back({std::string{name_of(r.from)}, std::string{name_of(r.event)},
                   std::string{name_of(r.action)}, std::string{name_of(r.to)}, std::string{r.note}, r.what});
  return out;
}

/// Arrows between two states share one line; what keeps the state is in the tables below, or the picture
/// would be unreadable.
void draw(std::ostream& out, const std::vector<page_row>& lines) {
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

void tabulate(std::ostream& out, const std::vector<page_row>& lines) {
  out << "\nAn event that is not in the table of its state has no effect: it is ignored when it is expected, "
         "and "
         "counted and logged as rejected when it is not.\n";
  std::string state, ignored, rejected;
  const auto finish = [&] {
    if (!ignored.empty()) out << "\nIgnored: " << ignored << ".\n";
    if (!rejected.empty()) out << "\nRejected: " << rejected << ".\n";
    ignored.clear();
    rejected.clear();
  };
  const auto add = [](std::string& list, const page_row& l) {
    list += (list.empty() ? "" : "; ") + l.event + " (" + l.note + ")";
  };
  for (const auto& l : lines) {
    if (l.from != state) {
      finish();
      state = l.from;
      out << "\n## " << state << "\n\n| event | action | to | step |\n|---|---|---|---|\n";
    }
    if (l.what == verdict::accept)
      out << "| " << l.event << " | " << l.action << " | " << l.to << " | " << l.note << " |\n";
    else
      add(l.what == verdict::ignore ? ignored : rejected, l);
  }
  finish();
}

/// The values of an enum and their meanings.
template <class Enum>
void explain(std::ostream& out, const char* title) {
  out << "\n## " << title << "\n\n| name | meaning |\n|---|---|\n";
  for (std::size_t i = 0; i < cpns::fsm::count<Enum>; ++i)
    out << "| " << name_of(static_cast<Enum>(i)) << " | " << meaning_of(static_cast<Enum>(i)) << " |\n";
}

template <class State, class Event, class Action, class Table>
bool write(const std::filesystem::path& file, const std::string& title, const std::string& source,
           const Table& table) {
  const auto lines = lines_of(table);
  std::ofstream out{file};
  out << "# " << title << "\n\nGenerated from `" << source << "` by `cpns_state_pages`; do not edit.\n\n";
  draw(out, lines);
  tabulate(out, lines);
  explain<State>(out, "Meaning of the states");
  explain<Event>(out, "Meaning of the events");
  explain<Action>(out, "Meaning of the actions");
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
  const bool ok =
      write<pne_state, pne_trigger, pne_action>(folder / "pne.md", "PNE", "protocol/pne/pne_table.hpp",
                                                pne_table) &&
      write<pn_gw_state, pn_gw_trigger, pn_gw_action>(folder / "pn_gw.md", "PN GW, one device",
                                                      "protocol/pn_gw/pn_gw_table.hpp", pn_gw_table) &&
      write<assignment_state, assignment_trigger, assignment_action>(
          folder / "server.md", "CPNS Server, one entity", "protocol/server/assignment_table.hpp",
          assignment_table);
  return ok ? 0 : 1;
}
