#include "server/session.hpp"

#include "base/log.hpp"
#include "crypto/key_schedule.hpp"
#include "protocol/link_codec.hpp"

namespace cpns::server {
namespace {

using session_pointer = session_actor::stateful_pointer<session_state>;
using protocol::link_status;
using protocol::refusal;

constexpr std::uint32_t retry_store = 5;

/// Every answer carries the server's incarnation and the current issuer nonce.
template <class Body>
void answer(session_pointer self, const request_id& id, Body body) {
  auto& s = self->state;
  const auto settings = s.role->settings();
  const auto slot = static_cast<std::uint64_t>(unix_seconds(s.role->now()) / protocol::issuer_slot.count());
  if (slot != s.nonce_slot) {
    s.nonce = crypto::derive_issuer_nonce(s.role->suite, settings->assignment.issuer_key, s.peer.gw, slot);
    s.nonce_slot = slot;
  }
  protocol::link_answer a;
  a.id = id;
  a.incarnation = settings->assignment.incarnation;
  a.issuer_nonce = s.nonce;
  a.body = std::move(body);
  s.port->send(encode(a));
}

void route(session_pointer self, job j) {
  auto& s = self->state;
  j.number = s.role->next_number++;
  j.gw = s.peer.gw;
  j.reply_to = session_actor{self};
  self->send(s.role->dispatcher(), do_job{std::make_shared<const job>(std::move(j))});
}

void handle(session_pointer self, const request_id& id, protocol::user_challenge&& m) {
  auto found = self->state.role->users.challenge(m.user);
  if (found) return answer(self, id, *found);
  log::error("server", "user-unreadable", found.error().message());
  answer(self, id,
         refusal{link_status::overloaded, retry_store, "the server cannot read its records at present"});
}

void handle(session_pointer self, const request_id& id, protocol::issuer_nonce_request&&) {
  answer(self, id, protocol::issuer_nonce_answer{});
}

void handle(session_pointer self, const request_id& id, protocol::key_assignment_request&& m) {
  log::debug("server", "assignment-requested", "KeyAssignmentRequest (step 4)",
             {{"entity", m.entity.text()},
              {"gw", self->state.peer.gw.hex()},
              {"reason", std::string{name_of(m.reason)}}});
  job j;
  j.entity = m.entity;
  j.id = id;
  j.what = job::assign{self->state.peer.exporter, std::move(m)};
  route(self, std::move(j));
}

void handle(session_pointer self, const request_id& id, protocol::epoch_report&& m) {
  auto& s = self->state;
  if (m.entries.empty()) return answer(self, id, protocol::epoch_report_answer{});
  if (s.reports.count(id) != 0)
    return answer(self, id, refusal{link_status::overloaded, retry_soon, "the same report is in hand"});
  auto& r = s.reports[id];
  r.outcomes.resize(m.entries.size());
  r.missing = m.entries.size();
  r.asked = std::move(m);
  for (std::size_t i = 0; i < r.asked.entries.size(); ++i) {
    job j;
    j.entity = r.asked.entries[i].first;
    j.id = id;
    j.what = job::report{i, r.asked.entries[i].second};
    route(self, std::move(j));
  }
}

void finish_report(session_pointer self, const request_id& id, const session_state::report& r) {
  protocol::epoch_report_answer out;
  for (std::size_t i = 0; i < r.outcomes.size(); ++i)
    if (r.outcomes[i]) out.entries.emplace_back(r.asked.entries[i].first, *r.outcomes[i]);
  // Entries that are not answered are reported again.
  if (out.entries.empty())
    return answer(self, id,
                  refusal{link_status::overloaded, retry_store, "the server cannot store at present"});
  answer(self, id, std::move(out));
}

void take(session_pointer self, const bytes& frame) {
  auto& s = self->state;
  auto request = protocol::decode_link_request(frame);
  if (request) {
    if (request->incarnation > s.role->settings()->assignment.incarnation)
      log::warn("server", "incarnation-behind",
                "a gateway knows a later incarnation of this server: was the store restored?",
                {{"gateway", s.peer.uri}});
    const auto id = request->id;
    return std::visit([self, &id](auto& m) { handle(self, id, std::move(m)); }, request->body);
  }
  log::warn("server", "bad-request", request.error().message(), {{"gateway", s.peer.uri}});
  if (const auto id = protocol::peek_request_id(frame))
    return answer(self, *id, refusal{link_status::bad_request, 0, "the request is not understood"});
  s.port->close("a frame is no request");
}

void report_is_done(session_pointer self, const report_done& m) {
  auto& s = self->state;
  const auto at = s.reports.find(m.id);
  if (at == s.reports.end() || m.entry >= at->second.outcomes.size()) return;
  at->second.outcomes[m.entry] = m.outcome;
  if (--at->second.missing != 0) return;
  const auto r = std::move(at->second);
  s.reports.erase(at);
  finish_report(self, m.id, r);
}

}  // namespace

session_actor::behavior_type session(session_actor::stateful_pointer<session_state> self,
                                     std::shared_ptr<role_context> role, peer_info peer,
                                     std::shared_ptr<link_port> port) {
  self->state.role = std::move(role);
  self->state.peer = std::move(peer);
  self->state.port = port;
  self->set_exception_handler([](std::exception_ptr&) -> caf::error { return caf::sec::runtime_error; });
  // Whatever ends this actor ends the connection: the gateway connects again.
  self->attach_functor([port = std::move(port)] { port->close("the session ended"); });
  return {
      [self](const frames_came& m) {
        for (const auto& f : *m.frames) take(self, f);
      },
      [self](const assignment_done& m) {
        std::visit([self, &m](const auto& body) { answer(self, m.id, body); }, *m.body);
      },
      [self](const report_done& m) { report_is_done(self, m); },
      [self](const link_closed&) { self->quit(); },
  };
}

}  // namespace cpns::server
