#include "audit/trail.hpp"

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

#include "audit/refusals.hpp"
#include "audit/trail_file.hpp"
#include "base/log.hpp"
#include "base/seldom.hpp"

namespace cpns::audit {
namespace {

namespace json = boost::json;

constexpr std::string_view component = "audit";
constexpr std::size_t batch_bytes = 256 * 1024;  ///< a batch ends with the line that reaches this size
constexpr std::size_t queue_max = 1024;

/// A line that a caller waits for.
struct job {
  json::object fields;       ///< empty: only lines that are late are written
  bool in_file = false;      ///< it does not wait for the anchor
  std::uint64_t number = 0;  ///< of the line
  bool appended = false;     ///< it is in the file
  bool over = false;
  status result{};
};

/// The outcome of a change, which no caller waits for.
struct late_line {
  json::object fields;
  std::size_t reserved = 0;  ///< bytes of the open change that it closes
};

std::size_t reserved_for(std::string_view open) { return open_bytes({{}, {}, {{0, std::string(open)}}}); }

struct written {
  bool appended = false;  ///< all lines are in the file
  std::size_t lines = 0;
  status done{};
};

/// The disk or the store may take lines later.
bool may_pass_later(const error& e) {
  return e == errc::store_full || e == errc::store_write_failed || e == errc::store_unavailable;
}

outcome never_begun() {
  return {verdict::not_done, "the intent could not be recorded in time, so the change was refused"};
}

}  // namespace

struct trail::impl {
  impl(std::filesystem::path path, std::unique_ptr<anchor> a, trail_options o)
      : options(std::move(o)), file(std::move(path)), with(std::move(a)),
        budget(options.refusals_per_peer, options.refusals) {}

  [[nodiscard]] bool off() const { return file.path().empty(); }
  result<unfinished> begin(const change& c, bool in_file, std::size_t& reserved);
  status finish(const unfinished& of, std::size_t reserved, bool in_file, const outcome& o);
  void refuse(const change& c, std::string_view reason);
  void write_counts(bool last);
  status submit(job& j);
  void resolve_open(const resolver& resolve);

  // By the thread that leads, without the mutex.
  status prepare();
  status prepare_file();
  void take_over(const file_end& end);
  status save_head();
  written write(const std::deque<late_line>& first, const std::vector<job*>& jobs, bool in_file);
  void take_jobs(std::vector<job*>& jobs, std::size_t room, bool in_file);
  void close_unacknowledged(const std::vector<open_change>& known);

  /// Waits until no other thread leads. `lock` holds the mutex.
  void lead_from_now(std::unique_lock<std::mutex>& lock) {
    changed.wait(lock, [this] { return !leading; });
    leading = true;
  }
  void lead_no_more() {
    leading = false;
    changed.notify_all();
  }
  void write_batch(std::unique_lock<std::mutex>& lock);
  void note(const status& done, std::size_t lines);
  void release(std::size_t reserved) {
    open_bytes -= reserved;
    --open;
  }

  const trail_options options;
  // Used by the thread that leads.
  trail_file file;
  std::unique_ptr<anchor> with;
  chain now;                              ///< up to the last line in the file
  std::atomic<bool> head_behind = false;  ///< the anchor does not have now.head yet
  std::size_t lines_behind = 0;  ///< since the head of the anchor; a start takes batch_lines_max of them in
  std::optional<json::object> repair;  ///< a line about the file, before all others
  bool needs_line_end = false;         ///< before `repair`
  bool started = false;                ///< open() has resolved the open changes

  mutable std::mutex guard;
  std::condition_variable changed;
  bool leading = false;
  std::deque<job*> queue;
  std::deque<late_line> late;
  std::size_t open_bytes = 0, open = 0;
  refusals budget;
  /// Counts a refusal whose line could not be written.
  void leave_out() {
    ++counted.left_out;
    ++unwritten;
  }
  std::uint64_t unwritten = 0;  ///< refusals whose line or count could not be written
  trail_statistics counted;
  trail_health health;
  seldom reported;
};

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

written trail::impl::write(const std::deque<late_line>& first, const std::vector<job*>& jobs, bool in_file) {
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

void trail::impl::note(const status& done, std::size_t lines) {
  if (done) {
    counted.lines += lines;
    if (lines > 0) ++counted.batches;
    health = {};
    if (reported.over())
      log::info(component, "audit-resumed", "the audit trail takes lines again",
                {{"file", file.path().string()}});
    return;
  }
  ++counted.failures;
  health = {false, done.error().message()};
  if (reported.due(now_anchored(), done.error().message()))
    log::error(component, "audit-not-written",
               "the audit trail takes no lines, and changes are refused until it does: " +
                   done.error().message(),
               {{"file", file.path().string()}});
}

/// Those that wait for the anchor, or those that do not.
void trail::impl::take_jobs(std::vector<job*>& jobs, std::size_t room, bool in_file) {
  std::size_t size = 0;
  for (auto it = queue.begin(); it != queue.end() && jobs.size() < room && size < batch_bytes;) {
    if ((*it)->in_file != in_file) {
      ++it;
      continue;
    }
    size += json::serialize((*it)->fields).size();
    jobs.push_back(*it);
    it = queue.erase(it);
  }
}

/// Writes one batch for all that wait. `lock` holds the mutex, and this thread leads.
void trail::impl::write_batch(std::unique_lock<std::mutex>& lock) {
  std::deque<late_line> first;
  const bool in_file = std::any_of(queue.begin(), queue.end(), [](const job* j) { return j->in_file; });
  while (!in_file && !late.empty() && first.size() < batch_lines_max / 2) {
    first.push_back(std::move(late.front()));
    late.pop_front();
  }
  std::vector<job*> jobs;
  take_jobs(jobs, batch_lines_max - 1 - first.size(), in_file);
  lock.unlock();
  const auto w = write(first, jobs, in_file);
  lock.lock();
  if (w.appended)
    for (const auto& l : first) release(l.reserved);
  else
    late.insert(late.begin(), std::make_move_iterator(first.begin()), std::make_move_iterator(first.end()));
  if (in_file && w.done)
    counted.lines += w.lines;  // it says nothing about the store
  else
    note(w.done, w.lines);
  for (auto* j : jobs) {
    j->result = w.done;
    j->over = true;
  }
}

/// Waits until the line of `j` is durable, or writes it with those of all others that wait.
status trail::impl::submit(job& j) {
  std::unique_lock lock{guard};
  if (queue.size() >= queue_max)
    return fail(errc::state_overloaded, "too many changes wait for the audit trail; try again");
  queue.push_back(&j);
  for (;;) {
    changed.wait(lock, [&] { return j.over || !leading; });
    if (j.over) break;
    leading = true;
    write_batch(lock);
    lead_no_more();
  }
  return j.result;
}

result<unfinished> trail::impl::begin(const change& c, bool in_file, std::size_t& reserved) {
  job j;
  j.in_file = in_file;
  j.fields = intent_fields(c);
  reserved = reserved_for(open_text(j.fields));
  {
    const std::lock_guard lock{guard};
    if (open_bytes + reserved > open_bytes_max)
      return fail(errc::state_overloaded,
                  "too many changes are in progress; try again when one of them has ended");
    open_bytes += reserved;
    ++open;
  }
  const auto done = submit(j);
  unfinished of{j.number, c.request, c.action, c.object, nullptr, nullptr};
  if (done) return of;
  const std::lock_guard lock{guard};
  if (j.appended) {
    late.push_back({outcome_fields(of, never_begun(), false), reserved});
  } else {
    release(reserved);
    ++counted.refusals;
    leave_out();
  }
  return fail(done.error().code,
              "the audit trail cannot record the change, so it was not made: " + done.error().detail);
}

status trail::impl::finish(const unfinished& of, std::size_t reserved, bool in_file, const outcome& o) {
  job j;
  j.in_file = in_file;
  j.fields = outcome_fields(of, o, false);
  auto done = submit(j);
  const std::lock_guard lock{guard};
  if (j.appended)
    release(reserved);
  else
    late.push_back({std::move(j.fields), reserved});
  return done;
}

void trail::impl::refuse(const change& c, std::string_view reason) {
  job j;
  {
    const std::lock_guard lock{guard};
    ++counted.refusals;
    if (!budget.take(options.clock(), peer_name(c.who))) {
      ++counted.left_out;
      return;
    }
  }
  j.fields = refusal_fields(c, reason);
  if (submit(j) || j.appended) return;
  const std::lock_guard lock{guard};
  leave_out();
}

void trail::impl::write_counts(bool last) {
  std::vector<json::object> counts;
  bool waiting = false;
  {
    const std::lock_guard lock{guard};
    counts = budget.counts(options.clock(), last);
    if (unwritten > 0)
      counts.push_back(
          json::object{{"kind", "refusals"}, {"left_out", std::exchange(unwritten, 0)}, {"unwritten", true}});
    waiting = !late.empty() || head_behind;
  }
  if (counts.empty() && !waiting) return;
  if (counts.empty()) counts.emplace_back();
  for (auto& fields : counts) {
    const auto* n = fields.if_contains("left_out");
    job j;
    j.fields = fields;
    if (submit(j) || j.appended || n == nullptr) continue;
    const std::lock_guard lock{guard};
    unwritten += n->to_number<std::uint64_t>();
  }
}

/// At the start: an outcome for each change without one.
void trail::impl::resolve_open(const resolver& resolve) {
  for (const auto& o : now.open) {
    auto u = read_open_text(o.number, o.text).value_or(unfinished{o.number, {}, {}, {}, nullptr, nullptr});
    const auto became =
        resolve ? resolve(u) : outcome{verdict::unknown, "nothing tells what became of the change"};
    log::warn(component, "audit-outcome-recovered",
              "a change had no outcome, because the process ended before",
              {{"number", std::to_string(u.number)},
               {"action", u.action},
               {"object", u.object},
               {"outcome", std::string(name_of(became.is))}});
    const auto reserved = reserved_for(o.text);
    open_bytes += reserved;
    ++open;
    late.push_back({outcome_fields(u, became, true), reserved});
  }
  started = true;
}

ticket::ticket(ticket&& other) noexcept
    : in_(std::exchange(other.in_, nullptr)), of_(std::move(other.of_)), reserved_(other.reserved_),
      in_file_(other.in_file_) {}
ticket& ticket::operator=(ticket&& other) noexcept {
  if (this == &other) return *this;
  if (in_ != nullptr) in_->abandon(*this);
  in_ = std::exchange(other.in_, nullptr);
  of_ = std::move(other.of_);
  reserved_ = other.reserved_;
  in_file_ = other.in_file_;
  return *this;
}
ticket::~ticket() {
  if (in_ != nullptr) in_->abandon(*this);
}

trail::trail(std::unique_ptr<impl> i) : impl_(std::move(i)) {}
trail::~trail() {
  if (!impl_->off()) impl_->write_counts(true);
}

result<std::unique_ptr<trail>> trail::open(std::filesystem::path file, std::unique_ptr<anchor> with,
                                           entropy& random, const resolver& resolve, trail_options options) {
  auto made = std::unique_ptr<trail>(
      new trail(std::make_unique<impl>(std::move(file), std::move(with), std::move(options))));
  auto& i = *made->impl_;
  if (i.off()) return made;
  CPNS_TRY(auto there, i.with->load());
  // A new key is durable before the first line that it protects.
  i.head_behind = !there;
  if (!there) i.lines_behind = batch_lines_max;
  if (there)
    i.now = std::move(*there);
  else
    i.now.key = random.draw_secret<secret32::size>();
  const auto ready = i.prepare();
  if (!ready && !may_pass_later(ready.error())) return fail(ready.error());
  i.resolve_open(resolve);
  job nothing;
  if (!ready || i.repair || !i.late.empty()) static_cast<void>(i.submit(nothing));
  return made;
}

result<ticket> trail::begin(const change& c, durable where) {
  ticket t;
  if (impl_->off()) return t;
  t.in_file_ = where == durable::in_file;
  CPNS_TRY(t.of_, impl_->begin(c, t.in_file_, t.reserved_));
  t.in_ = this;
  return t;
}

status trail::finish(ticket t, const outcome& o) {
  if (std::exchange(t.in_, nullptr) == nullptr) return {};
  return impl_->finish(t.of_, t.reserved_, t.in_file_, o);
}

void trail::abandon(ticket& t) noexcept {
  t.in_ = nullptr;
  static_cast<void>(impl_->finish(t.of_, t.reserved_, t.in_file_,
                                  {verdict::unknown, "the program that made the change gave no outcome"}));
}

void trail::refused(const change& c, std::string_view reason) {
  if (!impl_->off()) impl_->refuse(c, reason);
}

void trail::tick() {
  if (!impl_->off()) impl_->write_counts(false);
}

status trail::reopen() {
  if (impl_->off()) return {};
  std::unique_lock lock{impl_->guard};
  impl_->lead_from_now(lock);
  lock.unlock();
  impl_->file.close();
  auto done = impl_->prepare();
  lock.lock();
  impl_->note(done, 0);
  impl_->lead_no_more();
  return done;
}

result<verify_report> trail::check(const std::vector<std::filesystem::path>& older, check_until until) const {
  if (impl_->off()) return verify_report{};
  chain upto;
  std::uint64_t size = 0;
  descriptor own;
  {
    std::unique_lock lock{impl_->guard};
    impl_->lead_from_now(lock);
    lock.unlock();
    // Under its name: lines before a rotation are in the older files.
    static_cast<void>(impl_->prepare());
    upto = impl_->now;
    auto opened = open_to_read(impl_->file.path());
    auto bytes = opened ? size_of(opened->get(), impl_->file.path()) : result<std::uint64_t>(0);
    lock.lock();
    impl_->lead_no_more();
    lock.unlock();
    CPNS_TRY(own, std::move(opened));
    CPNS_TRY(size, std::move(bytes));
  }
  return verify(older, {own.get(), size, impl_->file.path()}, upto, until);
}

const std::filesystem::path& trail::file() const { return impl_->file.path(); }

trail_statistics trail::statistics() const {
  const std::lock_guard lock{impl_->guard};
  auto out = impl_->counted;
  out.open = impl_->open;
  out.late = impl_->late.size();
  return out;
}

trail_health trail::health() const {
  const std::lock_guard lock{impl_->guard};
  return impl_->health;
}

}  // namespace cpns::audit
