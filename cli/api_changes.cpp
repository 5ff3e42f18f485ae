#include "cli/api_changes.hpp"

#include "cli/audited.hpp"

namespace cpns::cli {
namespace {

audit::change line_of(const api::change& c) {
  audit::change out;
  out.who = c.from.local
                ? audit::process_principal(c.from.process.uid, c.from.process.gid, c.from.process.pid)
                : audit::certificate_principal(c.from.uri, c.from.address);
  out.via = c.from.local ? audit::channel::socket : audit::channel::tcp;
  out.request = c.request_id;
  out.action = c.action;
  out.object = c.object;
  out.before = c.before;
  out.after = c.wanted;
  return out;
}

/// The sentence may quote the client's words if they cannot be understood, or name nothing: a client may have put a
/// secret there. The code tells enough.
std::string reason_of(const api::problem& why) {
  constexpr unsigned not_valid = 400, not_found = 404;
  if ((why.status == not_valid && why.code != "peer-identity") || why.status == not_found) return why.code;
  return why.code + ": " + why.detail;
}

}  // namespace

api_changes::api_changes(audit::trail& to) : trail_(to), thread_([this] { run(); }) {}

api_changes::~api_changes() {
  {
    const std::lock_guard lock{guard_};
    over_ = true;
  }
  ending_.notify_one();
  thread_.join();
}

result<api::change_log::number> api_changes::begin(const api::change& c) {
  CPNS_TRY(auto ticket,
           trail_.begin(line_of(c), c.needs_store ? audit::durable::anchored : audit::durable::in_file));
  const std::lock_guard lock{guard_};
  const auto mine = next_++;
  open_.emplace(mine, std::move(ticket));
  return mine;
}

void api_changes::finish(number intent, const api::problem* refused, const boost::json::value& after) {
  audit::ticket ticket;
  {
    const std::lock_guard lock{guard_};
    const auto it = open_.find(intent);
    if (it == open_.end()) return;
    ticket = std::move(it->second);
    open_.erase(it);
  }
  audit::outcome o;
  o.after = after;
  if (refused != nullptr) {
    o.is = verdict_of(*refused);
    o.reason = reason_of(*refused);
  }
  static_cast<void>(trail_.finish(std::move(ticket), o));  // logs by itself; the line waits then
}

void api_changes::refused(const api::change& c, const api::problem& why) {
  trail_.refused(line_of(c), reason_of(why));
}

void api_changes::run() {
  std::unique_lock lock{guard_};
  while (!ending_.wait_for(lock, std::chrono::seconds{1}, [this] { return over_; })) {
    lock.unlock();
    trail_.tick();
    lock.lock();
  }
}

}  // namespace cpns::cli
