#include "actors/application_keys/consumers.hpp"

#include <algorithm>
#include <boost/json/object.hpp>
#include <utility>

#include "base/bytes.hpp"
#include "base/log.hpp"
#include "crypto/suite.hpp"

namespace cpns::actors {
namespace {

constexpr std::size_t looked_at_max = 1000;  // changes, for the oldest one that a purpose covers

}  // namespace

std::unique_ptr<consumers::membership> consumers::join(const purpose& p, const api::peer& who) {
  const auto drawn = crypto::system_entropy().draw<8>();
  std::unique_ptr<membership> out{new membership{*this, to_hex(drawn)}};
  member m;
  m.of = &p;
  m.user = who.process.uid;
  m.text = who.text();
  const std::lock_guard lock{guard_};
  m.begun = changes_.newest();
  if (auto past = former_.extract({m.user, p.name}); past && past.mapped().until > now_anchored()) {
    m.missed = past.mapped().missed;
    if (past.mapped().slow) m.behind = std::max<std::uint64_t>(m.begun, 1);
  }
  auto& joined = members_.emplace(out->id(), std::move(m)).first->second;
  for (auto& [number, w] : waits_) {
    if (!w.missing.empty() || joined.behind != 0 || !p.covers(w.device)) continue;
    const auto change = changes_.newest_of(w.device);
    joined.waits.emplace(change, number);
    w.missing.emplace(out->id(), change);
  }
  return out;
}

void consumers::leave(const std::string& id) {
  calls ready;
  {
    const std::lock_guard lock{guard_};
    const auto found = members_.find(id);
    if (found == members_.end()) return;
    auto& m = found->second;
    if (!closed_) {
      if (!m.waits.empty()) miss(id, m, m.waits.rbegin()->first, ready);
      release(id, m, ready);
      if (m.missed != 0)
        former_[{m.user, m.of->name}] = {m.missed, m.behind != 0, now_anchored() + remembered};
    }
    members_.erase(found);
  }
  for (const auto& call : ready) call();
}

void consumers::sent(const std::string& id, std::uint64_t revision) {
  const std::lock_guard lock{guard_};
  if (const auto found = members_.find(id); found != members_.end()) found->second.sent = revision;
}

consumers::answer consumers::acknowledge(const std::string& watch, const std::string& purpose_name,
                                         uid_t user, std::uint64_t revision) {
  calls ready;
  {
    const std::lock_guard lock{guard_};
    const auto found = members_.find(watch);
    if (found == members_.end() || found->second.user != user || found->second.of->name != purpose_name)
      return answer::no_such_watch;
    auto& m = found->second;
    if (revision > m.sent) return answer::not_sent_yet;
    if (revision > m.acknowledged) m.missed = 0;
    m.acknowledged = std::max(m.acknowledged, revision);
    if (m.behind != 0 && m.acknowledged >= m.behind) {
      m.behind = 0;
      log::info(component_, "consumer-caught-up",
                "a program has acknowledged its keys and is waited for again",
                {{"consumer", m.text}, {"purpose", m.of->name}});
    }
    while (!m.waits.empty() && m.waits.begin()->first <= m.acknowledged) {
      const auto number = m.waits.begin()->second;
      m.waits.erase(m.waits.begin());
      // The device may have changed again since then.
      auto& w = waits_.at(number);
      const auto newest = changes_.newest_of(w.device);
      if (newest > m.acknowledged) {
        m.waits.emplace(newest, number);
        w.missing[watch] = newest;
      } else {
        satisfy(watch, number, ready);
      }
    }
  }
  for (const auto& call : ready) call();
  return answer::done;
}

std::unique_ptr<consumers::wait> consumers::wait_for(const entity_id& device, bool renewal,
                                                     std::function<void()> ready) {
  const std::lock_guard lock{guard_};
  if (closed_) return std::unique_ptr<wait>{new wait{*this, 0}};
  const bool expected = renewal && members_.empty() && now_anchored() < expected_until_;
  if (members_.empty() && !expected) return nullptr;
  const auto change = changes_.newest_of(device);
  waiting w{device, {}, std::move(ready)};
  const auto number = next_wait_;
  for (auto& [id, m] : members_) {
    if (m.behind != 0 || m.acknowledged >= change || !m.of->covers(device)) continue;
    m.waits.emplace(change, number);
    w.missing.emplace(id, change);
  }
  if (w.missing.empty() && !expected) return nullptr;
  ++next_wait_;
  waits_.emplace(number, std::move(w));
  return std::unique_ptr<wait>{new wait{*this, number}};
}

void consumers::forget(std::uint64_t number) {
  const std::lock_guard lock{guard_};
  const auto found = waits_.find(number);
  if (found == waits_.end()) return;
  for (const auto& [id, change] : found->second.missing)
    if (const auto m = members_.find(id); m != members_.end()) erase_wait(m->second, change, number);
  waits_.erase(found);
}

void consumers::erase_wait(member& m, std::uint64_t change, std::uint64_t number) {
  const auto [from, to] = m.waits.equal_range(change);
  const auto found = std::find_if(from, to, [number](const auto& entry) { return entry.second == number; });
  if (found != to) m.waits.erase(found);
}

/// Nobody waits for the program any more.
void consumers::release(const std::string& id, member& m, calls& out) {
  for (const auto& [change, number] : std::exchange(m.waits, {})) satisfy(id, number, out);
}

/// Call without an entry of the wait in the member.
void consumers::satisfy(const std::string& id, std::uint64_t number, calls& out) {
  const auto found = waits_.find(number);
  found->second.missing.erase(id);
  if (!found->second.missing.empty()) return;
  out.push_back(std::move(found->second.ready));
  waits_.erase(found);
}

std::string consumers::give_up(std::uint64_t number) {
  std::string late;
  calls ready;
  {
    const std::lock_guard lock{guard_};
    const auto found = waits_.find(number);
    if (found == waits_.end()) return late;
    const auto over = std::move(found->second);
    waits_.erase(found);
    for (const auto& [id, change] : over.missing) {
      const auto m = members_.find(id);
      if (m == members_.end()) continue;
      late += (late.empty() ? "" : ", ") + describe(m->second);
      erase_wait(m->second, change, number);
      miss(id, m->second, changes_.newest_of(over.device), ready);
    }
  }
  for (const auto& call : ready) call();
  return late;
}

void consumers::miss(const std::string& id, member& m, std::uint64_t change, calls& out) {
  if (++m.missed < missed_max || m.behind != 0) return;
  m.behind = std::max<std::uint64_t>(change, 1);
  release(id, m, out);
  log::warn(
      component_, "consumer-slow",
      "a program did not acknowledge its keys in time, again and again: no PNE waits for it until it has",
      {{"consumer", m.text}, {"purpose", m.of->name}});
}

void consumers::close() {
  const std::lock_guard lock{guard_};
  closed_ = !members_.empty();
}

std::string consumers::describe(const member& m) { return m.text + " for the purpose " + m.of->name; }

boost::json::array consumers::describe() const {
  boost::json::array out;
  const std::lock_guard lock{guard_};
  for (const auto& [id, m] : members_) {
    boost::json::object row{{"purpose", m.of->name}, {"consumer", m.text}, {"slow", m.behind != 0}};
    const auto open = changes_.after(std::max(m.acknowledged, m.begun), looked_at_max);
    const auto first = std::find_if(open.changes.begin(), open.changes.end(),
                                    [&covers = *m.of](const auto& c) { return covers.covers(c.device); });
    if (first != open.changes.end()) row["oldest_without_ack"] = first->device.text();
    out.push_back(std::move(row));
  }
  return out;
}

}  // namespace cpns::actors
