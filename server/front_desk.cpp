#include "server/front_desk.hpp"

#include "protocol/codec.hpp"

namespace cpns::server {
namespace {

using protocol::link_status;

protocol::refused busy() {
  return {{link_status::overloaded, 0, "the server has more requests than it can answer in time"},
          "server-busy",
          "the request would wait for longer than limits.wait"};
}

}  // namespace

std::shared_ptr<front_desk> front_desk::open(std::shared_ptr<role_context> role, peer_info peer,
                                             std::shared_ptr<link_port> port, session_actor to) {
  std::shared_ptr<front_desk> made{new front_desk(
      std::move(role), std::make_shared<const peer_info>(std::move(peer)), std::move(port), std::move(to))};
  made->turns_ = std::make_shared<const admission::turn_fn>(
      [weak = std::weak_ptr{made}](std::uint64_t number, work_place place) {
        if (const auto desk = weak.lock()) desk->turn(number, std::move(place));
      });
  return made;
}

void front_desk::frames(std::vector<bytes> batch) {
  std::vector<bytes> others;
  requests in;
  const auto now = steady::now();
  const bool blocked = role_->known_gateways.blocked(peer_->gw);  // the session tells it so
  for (auto& f : batch) {
    const auto id = blocked ? std::nullopt : protocol::peek_assignment_request(f);
    if (id)
      knock(*id, std::move(f), now, in);
    else
      others.push_back(std::move(f));
  }
  if (!in.empty()) let_in(std::move(in), now);
  if (!others.empty())
    caf::anon_send(session_, frames_came{std::make_shared<const std::vector<bytes>>(std::move(others))});
}

void front_desk::closed() {
  role_->door->forget(peer_->gw, turns_);
  {
    std::lock_guard lock{guard_};
    waiting_.clear();
  }
  caf::anon_send(session_, link_closed{});
}

void front_desk::knock(const request_id& id, bytes frame, steady::time_point now, requests& in) {
  admitted_request r{id, std::move(frame), {now, {}, {}}};
  if (auto no = count_jobs(*role_, peer_->gw, 1, r.held.counted)) return turn_away(id, *std::move(no));
  if (role_->undelivered.take(id)) {
    r.held.place = role_->door->enter();
    return in.push_back(std::move(r));
  }
  const auto number = role_->next_number++;
  std::unique_lock lock{guard_};  // the turn may come before the request is kept
  switch (role_->door->ask(peer_->gw, role_->settings()->work, turns_, number, r.held.place)) {
  case admission::verdict::wait: waiting_.emplace(number, std::move(r)); return;
  case admission::verdict::work: return in.push_back(std::move(r));
  case admission::verdict::refuse: break;
  }
  lock.unlock();
  role_->counted.refused(server_metrics::bound::wait);
  turn_away(id, busy());
}

void front_desk::let_in(requests in, steady::time_point now) {
  for (const auto& r : in) role_->counted.waited.observe(now - r.held.arrived);
  caf::anon_send(session_, requests_came{std::make_shared<requests>(std::move(in))});
}

void front_desk::turn(std::uint64_t number, work_place place) {
  std::unique_lock lock{guard_};
  auto found = waiting_.extract(number);
  lock.unlock();
  if (found.empty()) return;
  auto& r = found.mapped();
  if (place) {
    r.held.place = std::move(place);
    requests one;
    one.push_back(std::move(r));
    return let_in(std::move(one), steady::now());
  }
  role_->counted.refused(server_metrics::bound::slow);
  turn_away(r.id, busy());
}

void front_desk::turn_away(const request_id& id, protocol::refused no) {
  role_->counted.assigned(link_status::overloaded);
  no.answer.retry_after = role_->door->retry_after();
  std::lock_guard lock{guard_};
  answers_.refuse(id, {}, std::move(no));
}

}  // namespace cpns::server
