#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "audit/trail_impl.hpp"
#include "base/log.hpp"

namespace cpns::audit {

namespace json = boost::json;
using namespace trail_parts;

status trail::impl::save_head() {
  auto done = with->save(now);
  head_behind = !done;
  if (done) lines_behind = 0;
  return done;
}

/// Opens the file under its name if necessary.
status trail::impl::prepare_file() {
  CPNS_TRY(const bool opened, file.ensure_open());
  if (opened) {
    const auto end = examine(file.fd(), now, file.path());
    if (!end) {
      file.close();
      return fail(end.error());
    }
    take_over(*end);
  }
  return {};
}

/// The same, and brings the anchor up to date.
status trail::impl::prepare() {
  CPNS_CHECK(prepare_file());
  if (head_behind) return save_head();
  return {};
}

void trail::impl::take_over(const file_end& end) {
  const auto knew = now.head.number;
  json::object found;
  if (end.remains > 0) {
    found["incomplete_bytes"] = end.remains;
    found["sha256"] = to_hex(end.digest);
  }
  if (end.jumped || end.taken > batch_lines_max)
    found["store_knew_line"] = knew;
  else if (!end.holds_head && knew > 0)
    found["lines_end_with"] = end.last_seen;
  else if (!end.holds_head)
    found["foreign_bytes"] = end.size;
  needs_line_end = end.remains > 0 || !end.ended;
  if (end.taken > 0) {
    const auto known = std::exchange(now, end.reached).open;
    head_behind = true;
    lines_behind += end.taken;
    if (started) close_unacknowledged(known);
  }
  repair.reset();
  const bool begins = now.head.number == 0;
  if (begins) repair = json::object{{"kind", "began"}};
  if (found.empty()) return;
  log::warn(component, "audit-file-repaired",
            "the audit file is not as the store knows it; a line says so, and `cpns audit verify` checks it",
            {{"file", file.path().string()}, {"found", json::serialize(found)}});
  if (!begins) repair = json::object{{"kind", "repaired"}};
  (*repair)["found"] = std::move(found);
}

/// Lines of a failed batch that turned up in the file again. No caller went on with one of their changes.
void trail::impl::close_unacknowledged(const std::vector<open_change>& known) {
  for (const auto& o : now.open) {
    if (std::find(known.begin(), known.end(), o) != known.end()) continue;
    const auto u =
        read_open_text(o.number, o.text).value_or(unfinished{o.number, {}, {}, {}, nullptr, nullptr});
    const auto reserved = reserved_for(o.text);
    const std::lock_guard lock{guard};
    open_bytes += reserved;
    ++open;
    late.push_back({outcome_fields(u, never_begun(), true), reserved});
  }
}

trail_parts::written trail::impl::write(const std::deque<late_line>& first, const std::vector<job*>& jobs,
                                        bool in_file) {
  written out;
  // A store that is away holds such lines up only when a start would not take more of them in.
  const bool without_head = in_file && lines_behind + jobs.size() < batch_lines_max;
  out.done = without_head ? prepare_file() : prepare();
  if (!out.done) return out;
  std::string text;
  auto next = now;
  const auto time = options.clock();
  const auto add = [&](const json::object& fields) {
    const auto previous = next.head.mac;
    append_line(text, next.head, fields, time, next.key);
    advance(next, {next.head, previous, fields});
    return next.head.number;
  };
  if (needs_line_end && repair) text += '\n';
  if (repair) add(*repair);
  for (const auto& l : first) add(l.fields);
  for (auto* j : jobs)
    if (!j->fields.empty()) j->number = add(j->fields);
  if (!text.empty()) out.done = file.append(text);
  if (!out.done) return out;
  out.appended = true;
  out.lines = next.head.number - now.head.number;
  for (auto* j : jobs) j->appended = true;
  if (text.empty()) return out;
  now = std::move(next);
  lines_behind += out.lines;
  repair.reset();
  needs_line_end = false;
  if (in_file)
    head_behind = true;
  else
    out.done = save_head();
  return out;
}

}  // namespace cpns::audit
