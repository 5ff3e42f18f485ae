#include "actors/pn_gw/server_link_state.hpp"

#include <algorithm>

#include "actors/pn_gw/link_lines.hpp"

namespace cpns::actors {

void server_link_state::forget_connection(time_point now) {
  for (auto& [id, p] : requests) {
    p.sent = time_zero;
    p.sends = 0;
    p.not_before = time_zero;
  }
  in_flight = 0;
  window = send_window<time_point>{parts.requests_max};  // another server may have time
  last_frame = time_zero;
  unanswered_since = time_never;
  answers = false;
  nonce_request.reset();
  challenge_request.reset();
  enrol_not_before = time_zero;
  report_request.reset();
  reports.interrupted(now);
}

std::vector<request_id> server_link_state::overdue(time_point now) {
  std::vector<request_id> failed;
  for (auto& [id, p] : requests) {
    if (p.sent == time_zero || now - p.sent <= parts.request_timeout) continue;
    if (p.sends >= sends_max) {
      parts.counted.unanswered.add();
      failed.push_back(id);
      continue;
    }
    p.sent = time_zero;
    --in_flight;
  }
  return failed;
}

std::vector<request_id> server_link_state::old_requests(time_point now) const {
  std::vector<request_id> old;
  for (const auto& [id, p] : requests)
    if (now - p.asked > request_age_max) old.push_back(id);
  return old;
}

std::vector<request_id> server_link_state::hopeless(time_point now) const {
  std::vector<request_id> out;
  if (!window.reduced()) return out;
  for (const auto& [id, p] : requests)
    if (!p.known && now - p.asked > unsent_age_max) out.push_back(id);
  return out;
}

std::vector<std::pair<device_actor, gw_refusal>> server_link_state::give_up(time_point now) {
  std::vector<std::pair<device_actor, gw_refusal>> out;
  const auto refuse = [&](const std::vector<request_id>& ids, seconds again, const char* why) {
    const auto retry_after = static_cast<std::uint32_t>(again.count());
    for (const auto& id : ids)
      if (auto p = finish(id))
        out.emplace_back(p->device, gw_refusal{id, {protocol::link_status::overloaded, retry_after, why}});
  };
  refuse(overdue(now), std::chrono::ceil<seconds>(parts.request_timeout),
         "the server does not answer this request");
  refuse(hopeless(now), last_retry_after, "the server is overloaded");
  return out;
}

bool server_link_state::signed_again(const request_id& id, const protocol::refusal& body) {
  const auto it = requests.find(id);
  if (body.status != protocol::link_status::unknown_user_or_bad_proof || it == requests.end() ||
      it->second.sent == time_zero || it->second.key == key_number)
    return false;
  it->second.sent = time_zero;
  it->second.sends = 0;
  --in_flight;
  return true;
}

bool server_link_state::asked_again(const request_id& id, const protocol::refusal& body, time_point now) {
  const auto it = requests.find(id);
  if (body.status != protocol::link_status::overloaded || body.retry_after == 0 || it == requests.end() ||
      it->second.sent == time_zero)
    return false;
  auto& p = it->second;
  window.refused(p.sent, now);
  last_retry_after = seconds{body.retry_after};
  const auto again = now + seconds{body.retry_after};
  if (again - p.asked >= request_age_max) return false;
  p.sent = time_zero;
  p.sends = 0;
  p.not_before = again;
  --in_flight;
  if (overloads.due(now, body.reason)) link_lines::overloaded(server, body.reason);
  return true;
}

std::optional<server_link_state::pending> server_link_state::finish(const request_id& id) {
  const auto it = requests.find(id);
  if (it == requests.end()) return std::nullopt;
  auto out = std::move(it->second);
  if (out.sent != time_zero) --in_flight;
  if (const auto latest = by_entity.find(out.body->entity); latest != by_entity.end() && latest->second == id)
    by_entity.erase(latest);
  requests.erase(it);
  order.erase(std::find(order.begin(), order.end(), id));
  return out;
}

}  // namespace cpns::actors
