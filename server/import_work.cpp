// The thread of device_imports: from finish() to the end of an import.

#include <sys/resource.h>

#include <boost/json.hpp>
#include <utility>

#include "base/log.hpp"
#include "base/text.hpp"
#include "server/imports.hpp"

namespace cpns::server {
namespace {

using protocol::import_record;
using protocol::import_state;

constexpr int low_priority = 10;  ///< of the thread, in steps of nice(2)
constexpr milliseconds store_poll{200};

boost::json::object wanted(const checked_import& found) {
  return {{"import", found.record.name},
          {"rows", found.rows},
          {"bad_rows", found.bad_rows},
          {"sha256", found.record.sha256}};
}

std::string rows_text(std::uint64_t n) { return plural(n, "row") + " cannot be used"; }

/// Whether the store may accept writes later.
bool may_pass(const error& e) {
  return e == errc::store_full || e == errc::store_write_failed || e == errc::store_unavailable ||
         e == errc::state_overloaded;
}

}  // namespace

void device_imports::run() {
  // On Linux this is the thread alone. Without the right the thread works at the usual priority.
  static_cast<void>(::setpriority(PRIO_PROCESS, 0, low_priority));
  std::unique_lock lock{guard_};
  for (;;) {
    const bool called = changed_.wait_for(lock, tick_, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    if (!called) {
      lock.unlock();
      forget_old_now();
      lock.lock();
      continue;
    }
    const auto e = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    work(*e);
    lock.lock();
  }
}

void device_imports::work(entry& e) {
  outcome done;
  if (e.view.record.state == import_state::importing) {
    const auto rest = import_rows(e, {});
    if (!rest) done = fail(api::problem{rest.error()});
  } else {
    done = decide(e);
  }
  e.intake.reset();
  import_view end;  // the entry may be changed once it is free
  {
    const std::lock_guard lock{guard_};
    e.by = use::free;
    e.view.working = false;
    e.view.problem.reset();
    if (!done) e.view.problem = done.error();
    end = e.view;
  }
  changed_.notify_all();
  const auto& r = end.record;
  if (!done && !stopping_)
    log::warn("server", "import-stands-still", done.error().detail, {{"import", r.name}});
  else if (end.ended())
    log::info(
        "server", "import-ended", std::string{meaning_of(r.state)},
        {{"import", r.name}, {"imported", std::to_string(r.imported)}, {"left_out", std::to_string(r.bad)}});
}

import_run device_imports::make_run(entry& e) {
  return import_run{{.store = store_,
                     .suite = suite_,
                     .random = random_,
                     .now = now_,
                     .stop = stopping_,
                     .devices = *devices_,
                     .pause = [this](milliseconds time) { pause(time); },
                     .checked =
                         [this, &e](std::uint64_t rows) {
                           const std::lock_guard lock{guard_};
                           e.view.checked = rows;
                         },
                     .written = [this, &e](const import_record& r) { show(e, r); }}};
}

void device_imports::pause(milliseconds time) {
  std::unique_lock lock{guard_};
  changed_.wait_for(lock, time, [this] { return stopping_.load(); });
}

device_imports::outcome device_imports::decide(entry& e) {
  const auto ready = ready_intake(e);
  if (e.view.record.state == import_state::refused) return {};
  if (e.view.record.state == import_state::importing) {  // by a write that was reported as failed
    CPNS_CHECK(import_rows(e, {}));
    return {};
  }
  CPNS_CHECK(ready);
  for (const bool last : {false, true})
    if (const auto done = judged(e, last ? e.intake->flush() : e.intake->end()); !done) {
      if (e.view.record.state == import_state::refused) return {};  // an error of the list
      return fail(api::problem{done.error()});
    }
  show(e, e.intake->record());
  CPNS_TRY(auto found, make_run(e).check(e.intake->record()));
  e.intake.reset();
  return commit(e, found);
}

/// One write decides. It comes after the intent in the audit trail.
device_imports::outcome device_imports::commit(entry& e, checked_import& found) {
  auto change = e.who;
  change.object = found.record.batch;
  change.wanted = wanted(found);
  auto* lines = recorded_in();
  api::change_log::number intent = 0;
  if (lines != nullptr) {
    const auto begun = lines->begin(change);
    if (!begun) return api::refuse(507, "audit-unwritable", begun.error().message());
    intent = *begun;
  }
  auto r = found.record;
  r.state = import_state::importing;
  r.changed = unix_seconds(now_());
  const bool refused = r.bad > 0 && !r.partial;
  storage::sealed_batch batch;
  import_store::put_results(batch, r.name, found.results);
  if (refused)
    refuse_import(batch, r, now_());
  else
    batch.push_back(import_store::put(r));
  auto done = write_decision(e, batch, r.state);
  if (done) show(e, r);
  found.results.clear();
  if (done && !refused) done = import_rows(e, std::move(found.verdicts));
  if (lines != nullptr) record_end(*lines, intent, e, done);
  if (!done && !(done.error() == errc::state_stopping)) return fail(api::problem{done.error()});
  return {};
}

void device_imports::record_end(api::change_log& to, api::change_log::number intent, entry& e,
                                const status& done) {
  const auto r = [&] {
    const std::lock_guard lock{guard_};
    return e.view.record;
  }();
  boost::json::object after{{"imported", r.imported}, {"left_out", r.bad}};
  std::optional<api::problem> why;
  const bool waits = !done && (done.error() == errc::state_stopping || may_pass(done.error()));
  const bool elsewhere = !done && !lease_.held();
  if (elsewhere && r.state == import_state::importing)
    after["goes_on"] = "at another server";
  else if (waits && r.state == import_state::importing)
    after["goes_on"] = "at the next start";
  else if (waits)
    why.emplace(
        error{errc::store_write_failed, "the decision is not known to be stored: " + done.error().detail});
  else if (!done)
    why.emplace(done.error());
  else if (r.imported == 0 && r.bad > 0)
    why.emplace(409, "state-conflict", rows_text(r.bad));
  to.finish(intent, why ? &*why : nullptr, after);
}

/// A batch of which a write failed may turn up when the store is opened again.
status device_imports::write_decision(entry& e, const storage::sealed_batch& batch, import_state decided) {
  for (;;) {
    const auto done = store_.write(batch);
    if (done) return {};
    CPNS_TRY(const auto r, read_again(e, done.error()));
    if (r.state == decided) return {};
  }
}

status device_imports::import_rows(entry& e, std::optional<import_verdicts> verdicts) {
  auto run = make_run(e);
  CPNS_TRY(auto r, store_.load(e.view.record.name));
  for (;;) {
    if (!verdicts) {
      CPNS_TRY(verdicts, run.verdicts(r));
    }
    const auto done = run.apply(r, *verdicts);
    if (done) return {};
    CPNS_TRY(r, read_again(e, done.error()));
    show(e, r);
    if (r.state == import_state::done) return {};
  }
}

/// Waits until the store accepts writes, then reads what it has. `why` if waiting does not help; state_stopping.
result<import_record> device_imports::read_again(entry& e, const error& why) {
  if (!may_pass(why)) return fail(why);
  {
    const std::lock_guard lock{guard_};
    e.view.problem.emplace(why);
  }
  log::warn("server", "import-waits", "the import waits until the store accepts writes",
            {{"import", e.view.record.name}, {"why", why.message()}});
  for (;;) {
    pause(store_poll);
    if (stopping_) return fail(errc::state_stopping, "the server is about to end");
    const auto health = store_.health();
    if (health.lost) return fail(errc::store_unavailable, health.why);
    if (health.writable) break;
  }
  {
    const std::lock_guard lock{guard_};
    e.view.problem.reset();
  }
  return store_.load(e.view.record.name);
}

}  // namespace cpns::server
