#include "server/answer_port.hpp"

#include "base/log.hpp"
#include "crypto/key_schedule.hpp"
#include "protocol/codec.hpp"

namespace cpns::server {

void answer_port::send(const request_id& id, decltype(protocol::link_answer::body) body) {
  const auto settings = role_->settings();
  const auto slot = static_cast<std::uint64_t>(unix_seconds(role_->now()) / protocol::issuer_slot.count());
  if (slot != nonce_slot_) {
    nonce_ = crypto::derive_issuer_nonce(role_->suite, settings->assignment.issuer_key, peer_->gw, slot);
    nonce_slot_ = slot;
  }
  protocol::link_answer a;
  a.id = id;
  a.incarnation = settings->assignment.incarnation;
  a.issuer_nonce = nonce_;
  a.body = std::move(body);
  port_->send(encode(a));
}

void answer_port::refuse(const request_id& id, std::string_view about, protocol::refused no) {
  if (role_->refusals.may_log(role_->now(), peer_->uri)) {
    const auto level = no.event == "row-unreadable" ? log::level::error : log::level::info;
    log::write(level, "server", no.event, no.why, {{"entity", std::string{about}}, {"gw", peer_->gw.hex()}});
    log::warn("server", about.empty() ? "request-refused" : "assignment-refused", no.answer.reason,
              {{"entity", std::string{about}},
               {"gateway", peer_->uri},
               {"gw", peer_->gw.hex()},
               {"status", std::string{name_of(no.answer.status)}}});
  }
  send(id, std::move(no.answer));
}

std::optional<protocol::refused> count_jobs(const role_context& role, const gateway_id& gw, std::size_t jobs,
                                            work_permit& to) {
  using protocol::link_status;
  if (role.credit->nearly_used()) {
    role.counted.refused(server_metrics::bound::memory);
    return protocol::refused{
        {link_status::overloaded, retry_full, "the server has too many bytes of pending work"},
        "credit-used",
        "what the connections of all gateways hold reaches three quarters of its bound (limits.memory)"};
  }
  switch (role.work->take(gw, jobs, role.settings()->jobs, to)) {
  case work_ledger::verdict::taken: break;
  case work_ledger::verdict::gateway_full:
    role.counted.refused(server_metrics::bound::gateway);
    return protocol::refused{
        {link_status::overloaded, retry_enough, "too many requests of this gateway are pending"},
        "gateway-full",
        "its pending requests and report entries reach limits.jobs_per_gateway"};
  case work_ledger::verdict::server_full:
    role.counted.refused(server_metrics::bound::server);
    return protocol::refused{{link_status::overloaded, retry_full, "the server has too much pending work"},
                             "jobs-full",
                             "the pending requests and report entries of all gateways reach limits.jobs"};
  }
  return std::nullopt;
}

}  // namespace cpns::server
