#include "audit/trail_impl.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "base/log.hpp"

namespace cpns::audit {
namespace {

namespace json = boost::json;
using namespace trail_parts;

constexpr std::size_t batch_bytes = 256 * 1024;  ///< a batch ends with the line that reaches this size
constexpr std::size_t queue_max = 1024;

/// The disk or the store may take lines later.
bool may_pass_later(const error& e) {
  return e == errc::store_full || e == errc::store_write_failed || e == errc::store_unavailable;
}

}  // namespace

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
