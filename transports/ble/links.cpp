#include "transports/ble/links.hpp"

#include <poll.h>

#include <utility>

namespace cpns::ble {
namespace {

constexpr int frames_at_once = 16;  // per link; then other links are served
constexpr std::chrono::seconds gap_timeout{2};

}  // namespace

links::link_ptr links::find(std::uint64_t id) const {
  std::lock_guard lock{guard_};
  const auto it = links_.find(id);
  return it == links_.end() ? nullptr : it->second;
}

loop::clock::time_point links::busy(std::uint64_t id) const {
  const auto l = find(id);
  return l ? l->busy.load() : loop::clock::time_point{};
}

std::int32_t links::rssi(std::uint64_t id) const {
  const auto l = find(id);
  return l ? l->rssi.load() : CPNS_RSSI_UNKNOWN;
}

void links::note_rssi(std::uint64_t id, std::int32_t dbm) {
  if (const auto l = find(id)) l->rssi = dbm;
}

cpns_pairing links::pairing(std::uint64_t id) const {
  const auto l = find(id);
  if (!l) return CPNS_PAIRING_UNKNOWN;
  std::lock_guard lock{l->guard};
  return l->over ? l->over->pairing() : CPNS_PAIRING_UNKNOWN;
}

std::uint64_t links::up(std::unique_ptr<channel> over, std::uint64_t endpoint, const std::string& address,
                        gone_fn gone) {
  const auto l = std::make_shared<link>();
  l->over = std::move(over);
  l->in = l->over->in();
  l->out = l->over->out();
  l->gone = std::move(gone);
  l->busy = loop::clock::now();
  const auto id = ++next_;
  {
    std::lock_guard lock{guard_};
    links_.emplace(id, l);
  }
  out_.link_up(id, endpoint, address);
  await(id);
  return id;
}

cpns_status links::send(std::uint64_t id, std::span<const std::uint8_t> data) {
  const auto l = find(id);
  if (!l) return CPNS_NO_LINK;
  if (data.empty() || data.size() >= in_.size()) return CPNS_LIMIT;
  std::lock_guard lock{l->guard};
  if (l->ended) return CPNS_NO_LINK;
  const auto sent = l->over->send(data);
  if (sent == CPNS_OK) {
    l->busy = loop::clock::now();
    ++sent_;
  }
  if (sent == CPNS_WOULD_BLOCK) l->blocked = true;
  if (l->over->wants_out() && !std::exchange(l->awaits_writable, true)) loop_.post([this, id] { await(id); });
  return sent;
}

void links::disconnect(std::uint64_t id) {
  loop_.post([this, id] { close(id, CPNS_DOWN_CLOSED, "this side closed the link", end::host); });
}

void links::await(std::uint64_t id) {
  const auto l = find(id);
  if (!l) return;
  bool writable = false;
  {
    std::lock_guard lock{l->guard};
    writable = l->awaits_writable = l->over->wants_out();
  }
  const auto for_out = static_cast<short>(writable ? POLLOUT : 0);
  constexpr short broken = POLLERR | POLLHUP;
  if (l->in == l->out)
    return loop_.watch(l->in, static_cast<short>(POLLIN | for_out), [this, id](short what) {
      ready(id, (what & (POLLIN | broken)) != 0, (what & POLLOUT) != 0, false);
    });
  loop_.watch(l->in, POLLIN, [this, id](short) { ready(id, true, false, false); });
  loop_.watch(l->out, for_out, [this, id](short what) {
    ready(id, (what & broken) != 0, (what & POLLOUT) != 0, (what & broken) != 0);
  });
}

/// `broken`: nothing can be sent anymore, but received frames are still delivered.
void links::ready(std::uint64_t id, bool readable, bool writable, bool broken) {
  const auto l = find(id);
  if (!l) return;
  const bool more = readable && read(id, *l);
  if (!find(id)) return;
  if (broken && !more) return close(id, CPNS_DOWN_CLOSED, "the peer is gone", end::peer);
  flush(id, *l, writable);
}

/// True if there may be more to read.
bool links::read(std::uint64_t id, link& l) {
  for (int i = 0; i < frames_at_once; ++i) {
    channel::news got;
    {
      std::lock_guard lock{l.guard};
      got = l.over->read(in_);
    }
    if (got.is == channel::news::kind::ended) {
      close(id, got.why, got.detail, got.by_peer ? end::peer : end::lost);
      return false;
    }
    if (got.is == channel::news::kind::nothing) {
      watch_gap(id, l);
      return false;
    }
    l.busy = loop::clock::now();
    ++received_;
    out_.frame(id, {in_.data(), got.size});
  }
  return true;
}

/// Closes the link if a gap in the received data does not close in time.
void links::watch_gap(std::uint64_t id, link& l) {
  std::uint64_t now = 0;
  {
    std::lock_guard lock{l.guard};
    now = l.over->gap();
  }
  if (now == std::exchange(l.gap, now) || now == 0) return;
  loop_.after(gap_timeout, [this, id, now] {
    const auto same = find(id);
    if (same && same->gap == now) close(id, CPNS_DOWN_LOST, "data from the peer was lost", end::lost);
  });
}

void links::flush(std::uint64_t id, link& l, bool writable) {
  bool unblocked = false, changed = false;
  {
    std::lock_guard lock{l.guard};
    unblocked = l.over->flush(writable) && std::exchange(l.blocked, false);
    changed = l.over->wants_out() != l.awaits_writable;
  }
  if (changed) await(id);
  if (unblocked) out_.writable(id);
}

void links::close(std::uint64_t id, cpns_down_reason why, const std::string& detail, end by) {
  link_ptr l;
  {
    std::lock_guard lock{guard_};
    const auto it = links_.find(id);
    if (it == links_.end()) return;
    l = it->second;
    links_.erase(it);
  }
  loop_.unwatch(l->in);
  loop_.unwatch(l->out);
  {
    std::lock_guard lock{l->guard};
    l->ended = true;
    if (by != end::peer) l->over->close();
  }
  out_.link_down(id, why, detail);
  if (l->gone) l->gone(by, *l->over);
  std::lock_guard lock{l->guard};
  l->over
      .reset();  // here, not when the last sender drops the link: its descriptors may be reused from now on
}

void links::close_all(const std::string& detail) {
  std::vector<std::uint64_t> all;
  {
    std::lock_guard lock{guard_};
    for (const auto& [id, l] : links_) all.push_back(id);
  }
  for (const auto id : all) close(id, CPNS_DOWN_CLOSED, detail, end::host);
}

}  // namespace cpns::ble
